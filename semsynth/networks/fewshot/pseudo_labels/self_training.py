"""Self-training: confident labels of a read-out."""

import torch
from torch import Tensor


def surest_labels(scores: Tensor, share: float) -> Tensor:
    """Predicted class (B, h, w) of logits (B, num_classes, h, w) if confident, else -1.

    The same ``share`` of the pixels of each class is kept: a threshold would lose classes of low
    confidence.
    """
    sureness, labels = scores.softmax(1).max(1)
    flat, sure = labels.flatten(), sureness.flatten()
    order = sure.argsort()
    order = order[flat[order].argsort(stable=True)]  # by class, then by confidence
    count = torch.bincount(flat, minlength=scores.shape[1])
    last = count.cumsum(0)[flat[order]]
    place = torch.arange(len(order), device=order.device)
    kept = last - place <= (share * count[flat[order]]).ceil()
    return labels.flatten().index_fill(0, order[~kept], -1).view_as(labels)
