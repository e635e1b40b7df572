"""Label maps on the grid of the features."""

import torch
from torch import Tensor


def downsample_labels(mask: Tensor, size: int) -> Tensor:
    """Resize label maps (B, H, W) to (B, size, size) by the upper left pixel of each cell.

    Nearest neighbour, as in the paper's code; small classes may be lost.
    """
    H, W = mask.shape[1:]
    rows, columns = (torch.arange(size, device=mask.device) * n // size for n in (H, W))
    return mask[:, rows[:, None], columns]
