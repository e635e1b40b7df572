"""The convolutions of StyleGAN2 by their definitions, one sample or one pixel at a time."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
FILTER = TAPS[:, None] * TAPS / 64


def upfirdn(
    image: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)
) -> Tensor:
    """Insert zeros, pad before and after, convolve, and drop pixels of (B, C, H, W)."""
    B, C, H, W = image.shape
    spread = image.new_zeros(B, C, H * up, W * up)
    spread[:, :, ::up, ::up] = image
    kernel = kernel.flip(0, 1).expand(C, 1, *kernel.shape)
    return F.conv2d(F.pad(spread, (*pad, *pad)), kernel, groups=C)[:, :, ::down, ::down]


def transposed_conv(image: Tensor, weight: Tensor) -> Tensor:
    """Each pixel of (C, H, W) stamps its weights (C', C, 3, 3), two pixels apart."""
    _, H, W = image.shape
    result = image.new_zeros(len(weight), 2 * H + 1, 2 * W + 1)
    for y, x in itertools.product(range(H), range(W)):
        stamp = (weight * image[:, y, x].view(1, -1, 1, 1)).sum(1)
        result[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3] += stamp
    return result


def modulated_conv(
    image: Tensor, weight: Tensor, style: Tensor, demodulate: bool, enlarge_by: Tensor | None
) -> Tensor:
    """Convolve (C, H, W) with weights (C', C, k, k) that are scaled and normalised for it.

    ``enlarge_by`` is the filter after a transposed convolution; without it the size stays.
    """
    weight = weight / math.sqrt(weight[0].numel()) * style.view(1, -1, 1, 1)
    if demodulate:
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if enlarge_by is None:
        return F.conv2d(image, weight, padding=weight.shape[-1] // 2)
    return upfirdn(transposed_conv(image, weight)[None], enlarge_by, pad=(1, 1))[0]
