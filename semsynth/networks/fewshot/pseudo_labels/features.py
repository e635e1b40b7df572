"""Features of one or several layers of a generator, on one grid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-8


def unit(x: Tensor) -> Tensor:
    """Vectors (B, C, ...) over their norms, in float32."""
    x = x.float()
    return x / (x.norm(dim=1, keepdim=True) + EPS)


def stack_features(maps: Sequence[Tensor], size: int) -> Tensor:
    """Resize maps (B, C_i, h_i, h_i) to one size and concatenate their unit vectors, in float32.

    Smaller maps are interpolated, larger ones averaged. A single map is only resized, as in the
    paper.
    """
    resized = [resize(x, size) for x in maps]
    return resized[0] if len(maps) == 1 else torch.cat([unit(x) for x in resized], 1)


def resize(x: Tensor, size: int) -> Tensor:
    """Resize activations (B, C, h, w) to a square."""
    if x.shape[-1] == size:
        return x
    if x.shape[-1] > size:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
