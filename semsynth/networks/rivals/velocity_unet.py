"""U-Net of a flow under label maps: images enter its encoder, layouts its decoder.

After Wang et al., "Semantic Image Synthesis via Diffusion Models", 2022,
https://arxiv.org/abs/2207.00050 (SDM), without attention.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.fast_spade import FastSPADE, Painted, hidden_maps, painted_one_hot
from semsynth.networks.clvae.layouts import fill_ignored

_WIDTHS = (1, 2, 4, 8)  # times channels, at each scale; the last also at all coarser ones
_GROUP = 8  # channels that are normalised together
_FREQUENCIES = 32  # of the embedding of the time
_FASTEST = 32  # half waves from noise to image
DATA_STD = 0.5  # of images in [-1, 1], as in EDM


class Modulation(NamedTuple):
    """Factor and summand (B, C, H, W) of normalised activations."""

    scale: Tensor
    shift: Tensor


class TimedBlock(nn.Module):
    """Pre-activation residual block that reads the time.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        time_dim: Length of the embedded time.
        affine: Learn a scale and a shift for each channel; without them they are given.
    """

    def __init__(
        self, in_channels: int, out_channels: int, time_dim: int, affine: bool = True
    ) -> None:
        super().__init__()
        self.norm_0 = nn.GroupNorm(in_channels // _GROUP, in_channels, affine=affine)
        self.conv_0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.of_time = nn.Linear(time_dim, out_channels)
        self.norm_1 = nn.GroupNorm(out_channels // _GROUP, out_channels, affine=affine)
        self.conv_1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, time: Tensor, given: Sequence[Modulation] = ()) -> Tensor:
        """Transform activations (B, in_channels, H, W) at embedded times (B, time_dim)."""
        h, skip = self.norm_0(x), self.shortcut(x)
        h = self.conv_0(F.silu(modulate(h, given[0]) if given else h))
        h = self.norm_1(h + self.of_time(time)[..., None, None])
        return skip + self.conv_1(F.silu(modulate(h, given[1]) if given else h))


class LayoutBlock(TimedBlock):
    """Block whose normalised activations are modulated by a layout, as in SPADE."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dim: int,
        layout_channels: int,
        spade_channels: int,
    ) -> None:
        super().__init__(in_channels, out_channels, time_dim, affine=False)
        self.spade_0 = FastSPADE(in_channels, layout_channels, spade_channels)
        self.spade_1 = FastSPADE(out_channels, layout_channels, spade_channels)
        for spade in (self.spade_0, self.spade_1):  # batch statistics would mix the times
            spade.norm = nn.Identity()  # type: ignore[assignment]

    def modulations(self, layout: Painted) -> list[Modulation]:
        """The modulation of each norm by a layout of the size of the activations."""
        spades = (self.spade_0, self.spade_1)
        return [
            Modulation(1 + spade.gamma(hidden), spade.beta(hidden))
            for spade, hidden in zip(spades, hidden_maps(spades, layout), strict=True)
        ]


class VelocityUNet(nn.Module):
    """Velocity of images on their way from noise to data.

    Inputs and outputs are scaled by the time as in Karras et al., NeurIPS 2022 (EDM), so that the
    network is to predict numbers of variance 1 from numbers of variance 1.

    Args:
        num_classes: Classes of the label maps.
        channels: Channels at full resolution, a multiple of 8; doubled at each halving of the
            resolution, up to eight times as many.
        depth: Number of scales, the full resolution included.
        spade_channels: Hidden channels of the decoder's modulation.
    """

    def __init__(
        self, num_classes: int, channels: int = 16, depth: int = 5, spade_channels: int = 32
    ) -> None:
        super().__init__()
        if channels % _GROUP:
            raise ValueError(f"channels must be a multiple of {_GROUP}, got {channels}.")
        self.num_classes = num_classes
        widths = [channels * _WIDTHS[min(i, len(_WIDTHS) - 1)] for i in range(depth)]
        sizes = (4 * channels, num_classes, spade_channels)
        self.embed = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, sizes[0]), nn.SiLU(), nn.Linear(sizes[0], sizes[0])
        )
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList(
            TimedBlock(a, b, sizes[0]) for a, b in pairwise([channels, *widths])
        )
        self.up = nn.ModuleList([LayoutBlock(widths[-1], widths[-1], *sizes)])  # coarse to fine
        for skip, below in reversed([*pairwise(widths)]):
            self.up.append(LayoutBlock(below + skip, skip, *sizes))
        self.norm = nn.GroupNorm(channels // _GROUP, channels)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        """Velocities (B, 3, H, W), float32.

        Args:
            x: Images on their way (B, 3, H, W), whose sides 2^(depth - 1) divides.
            time: Times (B,), 0 at noise and 1 at images.
            mask: Label maps (B, H, W), 255 where nothing is known.
        """
        return self.velocity(x, time, self.modulations(mask))

    def modulations(self, mask: Tensor) -> list[list[Modulation]]:
        """What the blocks of the decoder read of label maps (B, H, W), whatever image and time."""
        H, W = mask.shape[1:]
        layout = painted_one_hot(fill_ignored(mask, self.num_classes), self.num_classes)
        halvings = [len(self.up) - 1, *reversed(range(len(self.up) - 1))]
        blocks: list[LayoutBlock] = list(self.up)  # type: ignore[arg-type]
        return [
            block.modulations(layout.resized(H >> i, W >> i))
            for i, block in zip(halvings, blocks, strict=True)
        ]

    def velocity(self, x: Tensor, time: Tensor, given: Sequence[Sequence[Modulation]]) -> Tensor:
        """Velocities, as by ``forward``, with the modulations of the label maps."""
        embedded = F.silu(self.embed(waves(time)))
        way, (of_input, of_way, of_output) = x, scales(time[:, None, None, None])
        x = self.first(of_input * x)
        skips: list[Tensor] = []
        for i, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if i else x, embedded)
            skips.append(x)
        x = self.up[0](skips.pop(), embedded, given[0])
        for block, modulations in zip(self.up[1:], given[1:], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skips.pop()], dim=1), embedded, modulations)
        return of_way * way + of_output * self.last(F.silu(self.norm(x))).float()


def scales(time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of the input, of the image on its way, and of the output, at times in [0, 1].

    ``of_way`` times the image is the best linear guess of the velocity, for images of variance
    ``DATA_STD`` squared and noise of variance 1; ``of_output`` is the deviation of its error.
    """
    variance = (DATA_STD * time).square() + (1 - time).square()
    of_input = variance.rsqrt()
    return of_input, (DATA_STD**2 * time - (1 - time)) / variance, DATA_STD * of_input


def modulate(x: Tensor, by: Modulation) -> Tensor:
    """Scale and shift activations (B, C, H, W)."""
    return torch.addcmul(by.shift, x, by.scale)


def waves(time: Tensor) -> Tensor:
    """Sines and cosines (B, 64) of times (B,) in [0, 1], from half a wave to ``_FASTEST``."""
    pitch = torch.logspace(0, math.log10(_FASTEST), _FREQUENCIES, device=time.device) * torch.pi
    angle = time[:, None] * pitch
    return torch.cat([angle.sin(), angle.cos()], dim=1)
