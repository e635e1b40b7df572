"""Labels that a read-out is sure of, from which it may learn again."""

import torch
from torch import Tensor


def surest_labels(scores: Tensor, share: float) -> Tensor:
    """The most likely class (B, h, w) of logits (B, num_classes, h, w) where it is surest, else -1.

    The same ``share`` of the pixels of each class is kept: under a threshold, a class that is never
    sure would be lost.
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
