"""Regions of edits: what may change while the rest of the image stays."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import pixel_grid
from semsynth.networks.motion.marks import EditError, Mark, Marks

ANCHORS_REACH = 1.4
"""How many times farther from an anchor than from what moves a pixel must be to change."""


def region_of(picture: Tensor, size: int) -> Tensor:
    """The white part of a picture (3, H, W), uint8, as a region (size, size), bool."""
    brightest = picture.amax(0)[None, None].float()
    return F.interpolate(brightest, (size, size), mode="nearest-exact")[0, 0] > 127


def territory(marks: Marks, size: int) -> Tensor:
    """What anchors leave to the marks that move: (B, size, size), bool.

    A pixel may change if it is clearly nearer to the way of such a mark than to any anchor.
    """
    points, motions, points_mask = marks
    moves = points_mask & motions.any(dim=-1)
    grid = pixel_grid(size, size, points.device).permute(1, 2, 0)
    offset = grid - points[:, :, None, None]  # (B, K, H, W, 2)
    way = motions[:, :, None, None, :2]
    share = (offset * way).sum(-1) / way.square().sum(-1).clamp(min=1e-12)
    distance = (offset - share.clamp(0, 1)[..., None] * way).norm(dim=-1)
    to_moving, to_anchor = (
        distance.masked_fill(~which[..., None, None], torch.inf).amin(1)
        for which in (moves, points_mask & ~moves)
    )
    return ANCHORS_REACH * to_moving < to_anchor


def allowed(marks: Sequence[Mark], asked: Marks, region: Tensor | None, size: int) -> Tensor | None:
    """What marks may change on a canvas (size, size), bool, in a region if given; None is all.

    Raises:
        EditError: The region has another size, or a mark that moves lies outside of it.
    """
    if region is not None:
        check_region(region, marks, size)
        region = region.to(asked.points.device)
    if all(mark.moves for mark in marks):
        return region
    left = territory(asked, size)[0]
    return left if region is None else left & region


def check_region(region: Tensor, marks: Sequence[Mark], size: int) -> None:
    """Refuse a region of another size, or without a point that moves."""
    if region.shape != (size, size) or region.dtype != torch.bool:
        raise EditError(
            f"A region is a bool mask of the canvas, ({size}, {size}), got {region.dtype} of shape "
            f"{tuple(region.shape)}."
        )
    for number, mark in enumerate(marks, 1):
        if mark.moves and not region[round(mark.y), round(mark.x)]:
            raise EditError(
                f"Mark {number} at ({mark.x:g}, {mark.y:g}) lies outside of the region, where "
                "nothing moves; extend the region to it."
            )
