"""Residual generator of SPADE blocks (Park et al., CVPR 2019, https://arxiv.org/abs/1903.07291)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.checkpointing import run_again
from semsynth.networks.clvae.fast_spade import AnyLayout, SPADEResBlock
from semsynth.networks.clvae.spade import LEAK

Upsampling = Literal["normal", "more", "most"]
# Before which blocks the map is doubled: the two middle blocks share a size only in "normal".
_DOUBLED = {
    "normal": (False, True, False, True, True, True, True),
    "more": (False, True, True, True, True, True, True),
    "most": (False, True, True, True, True, True, True, True),
}
_WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)  # times channels, into each block and out of the last


class SPADEGenerator(nn.Module):
    """Residual generator whose blocks read one layout each.

    Args:
        z_dim: Dimension of the latent vector.
        image_size: Height and width of the images.
        channels: Channels of the last block; the first has 16 times as many.
        layout_channels: Channels of the layout of each block, coarse to fine.
        spade_channels: Hidden channels of the SPADE layers.
        upsampling: Number of doublings: 5 ("normal"), 6 ("more") or 7 ("most", one block more).
        start: Makes the first map (B, 16 * channels, h, w), possibly flat; by default a linear
            layer on the latent vector.
        build_block: Builds a block from input channels, output channels and index; by default
            SPADE's.
        checkpointing: Recompute the blocks in the backward pass: less memory, a third more time.
    """

    def __init__(
        self,
        z_dim: int,
        image_size: tuple[int, int],
        channels: int = 64,
        *,
        layout_channels: Sequence[int],
        spade_channels: int = 128,
        upsampling: Upsampling = "normal",
        start: nn.Module | None = None,
        build_block: Callable[[int, int, int], nn.Module] | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.doubled = _DOUBLED[upsampling]
        if len(layout_channels) != len(self.doubled):
            raise ValueError(
                f"layout_channels must have {len(self.doubled)} entries for "
                f"upsampling='{upsampling}', got {len(layout_channels)}; give one for each block."
            )
        self.grid = start_grid(image_size, upsampling)
        self.checkpointing = checkpointing
        widths = block_widths(channels, upsampling)
        self.start = start or nn.Linear(z_dim, widths[0] * self.grid[0] * self.grid[1])
        build = build_block or (
            lambda a, b, i: SPADEResBlock(a, b, layout_channels[i], spade_channels)
        )
        self.blocks = nn.ModuleList(build(a, b, i) for i, (a, b) in enumerate(pairwise(widths)))
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor, layouts: Sequence[AnyLayout]) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of latents (B, z_dim), or other inputs of ``start``.

        There is one layout (B, layout_channels[i], H', W') for each block, of any size.
        """
        x = self.start(z)
        x = x.unflatten(1, (-1, *self.grid)) if x.ndim == 2 else x  # (B, 16 * channels, h, w)
        for block, layout, doubled in zip(self.blocks, layouts, self.doubled, strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if doubled else x
            x = run_again(block, x, layout) if self.checkpointing else block(x, layout)
        return torch.tanh(self.to_image(F.leaky_relu(x, LEAK)).float())


def block_widths(channels: int, upsampling: Upsampling) -> list[int]:
    """Channels into each block and out of the last."""
    widths = [channels * factor for factor in _WIDTHS]
    return [*widths, channels // 2] if upsampling == "most" else widths


def start_grid(image_size: tuple[int, int], upsampling: Upsampling = "normal") -> tuple[int, int]:
    """Height and width of the generator's first map."""
    factor = 2 ** sum(_DOUBLED[upsampling])
    H, W = image_size
    if H % factor or W % factor or min(H, W) < factor:
        raise ValueError(
            f"image_size must be divisible by {factor} for upsampling='{upsampling}', "
            f"got {(H, W)}; resize the images or choose another upsampling."
        )
    return H // factor, W // factor
