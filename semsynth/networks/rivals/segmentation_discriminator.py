"""Segmentation discriminator: N classes for real pixels and one more for fake ones.

Sushko et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis", ICLR 2021,
https://arxiv.org/abs/2012.04781 (OASIS). It never sees the layout; it has to find it.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spade import LEAK
from semsynth.networks.clvae.spectral import spectral_conv

_WIDTHS = (2, 2, 4, 4, 8, 8)  # times channels, after each halving


class PreactivatedBlock(nn.Module):
    """Pre-activation residual block."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_0 = spectral_conv(in_channels, out_channels, 3)
        self.conv_1 = spectral_conv(out_channels, out_channels, 3)
        self.shortcut = spectral_conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Transform activations (B, in_channels, H, W)."""
        h = self.conv_1(F.leaky_relu(self.conv_0(F.leaky_relu(x, LEAK)), LEAK))
        return self.shortcut(x) + h


class SegmentationDiscriminator(nn.Module):
    """U-Net that gives each pixel one of C classes, or the one after them: fake.

    Args:
        num_classes: Number of classes C.
        channels: Half the channels after the first halving.
        depth: Halvings, 1 to 6.
    """

    def __init__(self, num_classes: int, channels: int = 64, depth: int = 6) -> None:
        super().__init__()
        if not 1 <= depth <= len(_WIDTHS):
            raise ValueError(f"depth must be 1 to {len(_WIDTHS)}, got {depth}; choose one.")
        widths = [channels, *(channels * factor for factor in _WIDTHS[:depth])]
        self.first = spectral_conv(3, channels, 3)
        self.down = nn.ModuleList(PreactivatedBlock(a, b) for a, b in pairwise(widths))
        # each step up reads the coarser map and the skip connection
        below = [widths[-1], *(2 * width for width in widths[-2:0:-1])]
        self.up = nn.ModuleList(
            PreactivatedBlock(a, b) for a, b in zip(below, widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(channels, num_classes + 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C + 1, H, W) of images (B, 3, H, W), whose sides 2^depth divides."""
        x = self.first(image)
        skips: list[Tensor] = []
        for block in self.down:
            x = F.avg_pool2d(block(x), 2)
            skips.append(x)
        skips.pop()
        for i, block in enumerate(self.up):
            x = torch.cat([x, skips.pop()], dim=1) if i else x
            x = F.interpolate(block(x), scale_factor=2.0, mode="nearest")
        return self.last(F.leaky_relu(x, LEAK))
