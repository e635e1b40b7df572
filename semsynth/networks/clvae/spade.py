"""Spatially-adaptive normalisation (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291)."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spectral import spectral_conv

LEAK = 0.2


class SPADE(nn.Module):
    """Normalise activations, then scale and shift them per pixel.

    Args:
        channels: Channels of the activations.
        layout_channels: Channels of the layout.
        hidden_channels: Channels between layout and modulation.
        groups: Groups of the convolutions.
    """

    def __init__(
        self, channels: int, layout_channels: int, hidden_channels: int = 128, groups: int = 1
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Sequential(
            nn.Conv2d(layout_channels, hidden_channels, 3, padding=1, groups=groups), nn.ReLU()
        )
        self.gamma = nn.Conv2d(hidden_channels, channels, 3, padding=1, groups=groups)
        self.beta = nn.Conv2d(hidden_channels, channels, 3, padding=1, groups=groups)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        """Modulate activations (B, C, H, W) by a layout (B, L, H', W'), resized to (H, W)."""
        hidden = self.shared(F.interpolate(layout, size=x.shape[-2:], mode="nearest"))
        return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


class ModulatedResBlock(nn.Module):
    """Residual block with modulated normalisation; its shortcut is learned where the width changes.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        modulation: Builds a layer that normalises channels and modulates them by a layout.
        groups: Groups of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modulation: Callable[[int], nn.Module],
        groups: int = 1,
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.spade_0 = modulation(in_channels)
        self.conv_0 = spectral_conv(in_channels, middle, 3, groups=groups)
        self.spade_1 = modulation(middle)
        self.conv_1 = spectral_conv(middle, out_channels, 3, groups=groups)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.spade_s = modulation(in_channels)
            self.conv_s = spectral_conv(in_channels, out_channels, 1, bias=False, groups=groups)

    def forward(self, x: Tensor, layout: Any) -> Tensor:
        """Transform activations (B, in_channels, H, W) under a layout of any size."""
        h = self.conv_0(F.leaky_relu(self.spade_0(x, layout), LEAK))
        h = self.conv_1(F.leaky_relu(self.spade_1(h, layout), LEAK))
        return h + (self.conv_s(self.spade_s(x, layout)) if self.learned_shortcut else x)
