"""Augmentation of pseudo-labels for training an encoder; all labels stay valid.

Pseudo-labels are on the coarse grid of the features, users' labels are not: the encoder should
overfit neither to that grid nor to one set of marks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.noise import seeded_normal, seeded_uniform

GRID = 6  # control points of the jitter along each side


def augment_labels(
    labels: Tensor,
    seed: Tensor,
    num_classes: int,
    size: int | None = None,
    jitter: float = 0.5,
    shift: float = 1.0,
    dilation: int = 0,
    class_dropout: float = 0.0,
    hole: float = 0.0,
) -> Tensor:
    """Shift label maps and jitter their boundaries; thicken, drop and cut out sparse ones.

    Dilation, dropout and holes are for sparse labels only, where 0 is "unknown".

    Args:
        labels: Label maps (B, h, w), int64.
        seed: Seeds (B,), int64, as of ``sample_seed``.
        num_classes: Number of classes, 0 included.
        size: Height and width of the result; by default that of the labels.
        jitter: Standard deviation of the smooth displacement, in pixels of ``labels``.
        shift: Maximum shift of a map, in pixels of ``labels``.
        dilation: Maximum number of pixels by which marks grow, drawn per map.
        class_dropout: Probability that a class of a map becomes unknown.
        hole: Probability that a rectangle of a map becomes unknown.
    """
    uniform = seeded_uniform(seed, num_classes + 8).float()
    if class_dropout:
        labels = drop_classes(labels, uniform[:, 8:] < class_dropout)
    if dilation:
        labels = dilate(labels, (uniform[:, 0] * (dilation + 1)).long(), dilation)
    if hole:
        labels = cut_out(labels, uniform[:, 1:5], uniform[:, 5] < hole)
    offset = (2 * uniform[:, 6:8] - 1) * shift  # (B, 2)
    return displace(labels, offset, jitter * seeded_normal(seed, 2, GRID, GRID), size)


def drop_classes(labels: Tensor, dropped: Tensor) -> Tensor:
    """Make classes unknown: label maps (B, h, w), and which classes to drop (B, num_classes)."""
    gone = dropped.gather(1, labels.flatten(1)).view_as(labels)
    return labels.masked_fill(gone, 0)


def dilate(labels: Tensor, pixels: Tensor, most: int) -> Tensor:
    """Grow marks into unknown pixels, by a number of pixels per map (B,), at most ``most``.

    Where two marks meet, the larger class wins.
    """
    for step in range(most):
        grown = F.max_pool2d(labels.float(), 3, 1, 1).long()
        free = (labels == 0) & (pixels > step).view(-1, 1, 1)
        labels = torch.where(free, grown, labels)
    return labels


def cut_out(labels: Tensor, box: Tensor, chosen: Tensor) -> Tensor:
    """Make a rectangle unknown in the ``chosen`` (B,) of label maps (B, h, w).

    Its centre and size (B, 4) are y, x, height, width, each a fraction of the map.
    """
    _, h, w = labels.shape
    inside = chosen.view(-1, 1, 1)
    for i, n, view in ((0, h, (1, -1, 1)), (1, w, (1, 1, -1))):
        place = (torch.arange(n, device=labels.device).view(view) + 0.5) / n
        centre, extent = box[:, i].view(-1, 1, 1), box[:, i + 2].view(-1, 1, 1)
        inside = inside & ((place - centre).abs() < extent / 2)
    return labels.masked_fill(inside, 0)


def displace(labels: Tensor, offset: Tensor, field: Tensor, size: int | None) -> Tensor:
    """Warp label maps (B, h, w) by nearest neighbour with border padding.

    The displacement is an offset (B, 2) as y, x, in pixels, plus an interpolated field
    (B, 2, g, g) of control points.
    """
    B, h, w = labels.shape
    H, W = (size, size) if size else (h, w)
    smooth = F.interpolate(field, size=(H, W), mode="bicubic", align_corners=True)
    moved = smooth + offset[:, :, None, None]
    rows = (torch.arange(H, device=labels.device).view(-1, 1) + 0.5) * (h / H) + moved[:, 0]
    columns = (torch.arange(W, device=labels.device) + 0.5) * (w / W) + moved[:, 1]
    rows = rows.floor().long().clamp(0, h - 1)
    columns = columns.floor().long().clamp(0, w - 1)
    return labels.flatten(1).gather(1, (rows * w + columns).flatten(1)).view(B, H, W)
