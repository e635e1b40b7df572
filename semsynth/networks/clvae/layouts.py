"""Label maps and layouts: one-hot, resized, at the resolution of a level."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE_INDEX = 255


def fill_ignored(mask: Tensor, num_classes: int) -> Tensor:
    """Give ignored pixels the label ``num_classes``, an extra slot to be dropped."""
    return mask.masked_fill(mask == IGNORE_INDEX, num_classes)


def one_hot(mask: Tensor, num_classes: int) -> Tensor:
    """Layout (B, num_classes, H, W), float32, of label maps (B, H, W); zero if ignored."""
    B, H, W = mask.shape
    known = mask != IGNORE_INDEX
    layout = torch.zeros(B, num_classes, H, W, device=mask.device)
    return layout.scatter(1, (mask * known)[:, None], known[:, None].float())


def resize_layout(layout: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a layout to (H, W) by nearest neighbour; a layout of that size is not copied."""
    if tuple(layout.shape[-2:]) == tuple(size):
        return layout
    return F.interpolate(layout, size=tuple(size), mode="nearest")


def level_mask(mask: Tensor, level: int) -> Tensor:
    """Label map of a level, by nearest neighbour: (B, H, W) to (B, H / 2^(j+1), W / 2^(j+1))."""
    stride = 2 ** (level + 1)
    return mask[:, ::stride, ::stride]
