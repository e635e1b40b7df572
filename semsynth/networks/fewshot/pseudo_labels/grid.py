"""Label maps on the grid of the features."""

from typing import Literal

import torch
from torch import Tensor

Pooling = Literal["nearest", "any"]


def downsample_labels(
    mask: Tensor, size: int, num_classes: int, pooling: Pooling = "nearest", sparse: bool = False
) -> Tensor:
    """Bring label maps to the resolution of features.

    ``nearest`` takes the upper left pixel of each cell, as the paper's code does, and so may lose
    classes of a few pixels. ``any`` takes, of the classes that hit a cell, the one with the fewest
    pixels in its image, and of equal ones the smaller number, so that small classes survive.

    Args:
        mask: Label maps (B, H, W), int64, from 0 to 255.
        size: Height and width of the result, at most those of the mask for ``any``.
        num_classes: Number of classes; values from there on are ignored ones.
        pooling: How a cell is decided.
        sparse: Whether 0 means unknown, which loses to any class under ``any``.

    Returns:
        Label maps (B, size, size), int64.

    Raises:
        ValueError: ``any`` is asked for a size beyond that of the mask.
    """
    B, H, W = mask.shape
    if pooling == "nearest":
        rows, columns = (torch.arange(size, device=mask.device) * n // size for n in (H, W))
        return mask[:, rows[:, None], columns]
    if size > min(H, W):
        raise ValueError(
            f"pooling 'any' gathers the pixels of a cell: masks of {H}x{W} have less than one for "
            f"each of {size}x{size} cells; give larger masks or use 'nearest'."
        )
    slot = mask.clamp(max=num_classes).flatten(1)  # (B, H W)
    pixels = slot.new_zeros(B, num_classes + 1).scatter_add(1, slot, torch.ones_like(slot))
    pixels[:, num_classes] = H * W + 2  # ignored pixels come last
    if sparse:
        pixels[:, 0] = H * W + 1  # and unknown ones before them
    key = pixels.gather(1, slot) * 256 + mask.flatten(1)  # ordered by pixels, then by value
    rows, columns = (torch.arange(n, device=mask.device) * size // n for n in (H, W))
    cell = (rows[:, None] * size + columns).flatten().expand(B, -1)
    least = key.new_zeros(B, size * size).scatter_reduce(1, cell, key, "amin", include_self=False)
    return (least % 256).view(B, size, size)
