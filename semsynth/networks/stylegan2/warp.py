"""Affine warps of images with reflection padding, without aliasing (Karras et al., NeurIPS 2020).

Images are resampled at twice their resolution, between two passes of an orthogonal low-pass filter
(appendix B.2 of https://arxiv.org/abs/2006.06676). All is linear in the image, and twice
differentiable.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Symlet of six vanishing moments, the decomposition low-pass (Daubechies, 1992); as in PyWavelets'
# Wavelet("sym6").dec_lo. Its norm is 1, its taps of even and of odd index sum to sqrt(1/2) each.
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
TAPS = len(SYM6)
CENTRE = 5  # the tap centred on a pixel
MARGIN = 3  # pixels beyond the edge that the filter reaches

Points = tuple[Tensor, Tensor]
"""Columns x and rows y in pixels, of equal shape (B, ...); the first pixel's centre is (0, 0)."""


def map_points(matrix: Tensor, x: Tensor, y: Tensor, size: int) -> Points:
    """Apply affine maps about the centre of an image to the grid of columns (N,) and rows (M,).

    The maps (B, 3, 3) are of points (x, y, 1) in pixels, y downwards; the result is (B, M, N). No
    matrix product, which might round to TF32 and miss by a pixel.
    """
    centre = (size - 1) / 2
    a = matrix.to(x.dtype)[..., None, None]  # (B, 3, 3, 1, 1)
    x, y = x - centre, (y - centre)[:, None]
    return (
        a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2] + centre,
        a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2] + centre,
    )


def mirror(position: Tensor, size: int) -> Tensor:
    """Reflect positions into [0, size - 1]."""
    last = size - 1
    return last - (position.remainder(2 * last) - last).abs()


def move_pixels(image: Tensor, matrix: Tensor) -> Tensor:
    """Copy pixels of images (B, C, S, S) exactly, by maps of pixel centres to pixel centres.

    The maps (B, 3, 3) go from positions in the result to positions in the image, about its centre.
    """
    B, C, _, S = image.shape
    pixels = torch.arange(S, device=image.device, dtype=image.dtype)
    x, y = (mirror(p.round(), S).long() for p in map_points(matrix, pixels, pixels, S))
    index = (y * S + x).view(B, 1, -1).expand(-1, C, -1)
    return image.flatten(2).gather(2, index).view(B, C, S, S)


def warp(image: Tensor, matrix: Tensor) -> Tensor:
    """Resample images (B, C, S, S) by maps.

    The maps (B, 3, 3) go from positions in the result to positions in the image, about its centre;
    the identity changes nothing.
    """
    S = image.shape[-1]
    up, down = doubling(S, image), halving(S, image)
    fine = (torch.arange(2 * S + TAPS - 2, device=image.device) - CENTRE).to(image.dtype) / 2
    grid = [
        (torch.where((p >= -MARGIN) & (p <= S - 1 + MARGIN), p, mirror(p, S)) + MARGIN)
        * (2 / (S - 1 + 2 * MARGIN))
        - 1
        for p in map_points(matrix, fine, fine, S)
    ]
    resampled = _SampleAt.apply(up @ image @ up.t(), torch.stack(grid, -1))
    return down @ resampled @ down.t()


# On a CPU, products with full matrices take two thirds of the time of convolutions with 12 taps at
# 64 pixels and the same at 256; and reflection padding is built in.


def doubling(size: int, like: Tensor) -> Tensor:
    """Matrix (2 (S + 2 MARGIN) - 1, S): from a line of pixels to values at and between them."""
    place = torch.arange(-2 * MARGIN, 2 * (size + MARGIN) - 1, device=like.device)
    pixel = torch.arange(-2 * MARGIN, size + 2 * MARGIN, device=like.device)
    matrix = taps_at(place[:, None] + CENTRE - 2 * pixel, like) * math.sqrt(2)
    return like.new_zeros(len(place), size).index_add(1, mirror(pixel, size), matrix)


def halving(size: int, like: Tensor) -> Tensor:
    """Matrix (S, 2 S + 10) that undoes ``doubling``, from CENTRE / 2 pixels before the first."""
    place = torch.arange(2 * size + TAPS - 2, device=like.device)
    pixel = torch.arange(size, device=like.device)
    return taps_at(place - 2 * pixel[:, None], like) * math.sqrt(0.5)


def taps_at(index: Tensor, like: Tensor) -> Tensor:
    """Taps of the filter at indices, 0 where there is none."""
    taps = torch.tensor([*SYM6, 0.0], device=like.device, dtype=like.dtype)
    return taps[torch.where((index >= 0) & (index < TAPS), index, TAPS)]


# Torch differentiates grid_sample twice from release 2.15 on, and not on all of its paths. Here the
# grid is fixed, so that sampling is linear in the image and its derivative is the transposed map.


class _SampleAt(torch.autograd.Function):
    """Bilinear values of images (B, C, H, W) at a grid (B, M, N, 2) in [-1, 1]."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.size = image.shape
        return F.grid_sample(image, grid, padding_mode="border", align_corners=True)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _SpreadFrom.apply(gradient[0], grid, ctx.size), None


class _SpreadFrom(torch.autograd.Function):
    """The transposed map: adds values (B, C, M, N) to the pixels that they were taken from."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, size: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(grid)
        unread = values.new_zeros(()).expand(size)  # only its shape matters
        bilinear, border, mask = 0, 1, [True, False]
        return torch.ops.aten.grid_sampler_2d_backward(
            values, unread, grid, bilinear, border, True, mask
        )[0]

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _SampleAt.apply(gradient[0], grid), None, None
