"""Labels that a read-out is sure of, from which it may learn again."""

import torch
from torch import Tensor


def surest_labels(scores: Tensor, share: float) -> Tensor:
    """The most likely class where it is surest, for each class the same share of its pixels.

    A share of each class, and not a threshold, because a class that is never sure would be lost.

    Args:
        scores: Logits (B, num_classes, h, w).
        share: Part of the pixels of each class that is kept.

    Returns:
        Label maps (B, h, w), int64; -1 where nothing is kept.
    """
    sureness, labels = scores.softmax(1).max(1)
    flat, sure = labels.flatten(), sureness.flatten()
    order = sure.argsort()
    order = order[flat[order].argsort(stable=True)]  # by class, and in each the surest last
    count = torch.bincount(flat, minlength=scores.shape[1])
    last = count.cumsum(0)[flat[order]]
    place = torch.arange(len(order), device=order.device)
    kept = last - place <= (share * count[flat[order]]).ceil()
    return labels.flatten().index_fill(0, order[~kept], -1).view_as(labels)
