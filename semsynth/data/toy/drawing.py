"""Layered parts: which part is visible where, for a whole batch at once.

Coordinates are (x, y) in [-1, 1], x to the right and y down, whatever the resolution. Shape,
texture and light of a part are fixed in its local coordinates, ``(point - centre) / scale``: a part
moves by its centre and scale alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Inside = Callable[[Tensor, Tensor], Tensor]
"""Says which points are inside, from part coordinates x and y that broadcast with each other: a
pixel grid is (B, 1, W) and (B, H, 1), so that terms of a single axis are cheap.
"""


@dataclass(frozen=True)
class Shape:
    """An outline.

    Attributes:
        inside: Which points are covered, bool.
        reach: Distances from the centre along x and y beyond which nothing is covered.
    """

    inside: Inside
    reach: tuple[float, float] = (math.inf, math.inf)


@dataclass(frozen=True)
class Part:
    """A part to paint.

    Attributes:
        label: Class of its pixels.
        shape: Which points it covers, in local coordinates.
        centre: Position in the image (B, 2).
        scale: Size in the image of a local unit (B, 2).
        tone: Mixes black (towards -1) or white (towards 1) into the colour of the class.
        light: Change of brightness per unit of local x and y.
        glow: 1 for light sources, 0 otherwise.
        instance: Id in the instance map; 0 for stuff.
    """

    label: int
    shape: Shape
    centre: Tensor
    scale: Tensor
    tone: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    glow: float = 0.0
    instance: int = 0


def both(a: Tensor, b: Tensor) -> Tensor:
    """``a & b`` for a row and a column, where a product of bytes is fifteen times faster."""
    return (a.view(torch.uint8) * b.view(torch.uint8)).view(torch.bool)


def everywhere() -> Shape:
    """The shape of a background."""
    return Shape(lambda x, y: both(x < math.inf, y < math.inf))


def ellipse(radius_x: float, radius_y: float) -> Shape:
    """An ellipse around the part's centre."""

    def half_width(y: Tensor) -> Tensor:
        return radius_x * (1 - (y / radius_y) ** 2).clamp(min=0).sqrt()

    return lathe(half_width, (radius_x, radius_y))


def box(radius_x: float, radius_y: float) -> Shape:
    """A rectangle around the part's centre."""
    return Shape(lambda x, y: both(x.abs() < radius_x, y.abs() < radius_y), (radius_x, radius_y))


def lathe(
    half_width: Callable[[Tensor], Tensor], reach: tuple[float, float] = (math.inf, math.inf)
) -> Shape:
    """A shape with left-right symmetry, from its half width at each height."""
    return Shape(lambda x, y: x.abs() < half_width(y), reach)


def pixel_centres(image_size: int) -> tuple[Tensor, Tensor]:
    """Coordinates x (1, 1, W) and y (1, H, 1) of the pixel centres of a square image."""
    centres = (2 * torch.arange(image_size, dtype=torch.float32) + 1) / image_size - 1
    return centres.view(1, 1, -1), centres.view(1, -1, 1)


def topmost(parts: Sequence[Part], x: Tensor, y: Tensor) -> Tensor:
    """Index (B, H, W), int64, of the part visible at each point; the first covers all.

    Points are a grid, x (B or 1, 1, W) and y (B or 1, H, 1), or arbitrary, (B, H, W) each.
    """
    B = len(parts[0].centre)
    H, W = max(x.shape[1], y.shape[1]), max(x.shape[2], y.shape[2])
    seen = torch.zeros(B, H, W, dtype=torch.uint8)
    is_grid = x.shape[1] == y.shape[2] == 1
    windows = _windows(parts, H) if is_grid else [[0, 0, W, H]] * len(parts)
    for number, (part, window) in enumerate(zip(parts, windows, strict=True)):
        left, top, right, bottom = window
        centre_x, centre_y = part.centre[:, :, None, None].unbind(1)
        scale_x, scale_y = part.scale[:, :, None, None].unbind(1)
        own_x, own_y = (x[..., left:right] - centre_x), (y[:, top:bottom] - centre_y)
        inside = part.shape.inside(own_x / scale_x, own_y / scale_y)
        # Later parts hide earlier ones, and have higher indices.
        area = seen[:, top:bottom, left:right]
        torch.maximum(area, inside.view(torch.uint8) * number, out=area)
    return seen.long()


def _windows(parts: Sequence[Part], image_size: int) -> list[list[int]]:
    """Bounding box (left, top, right, bottom) in pixels of the part over the batch."""
    centre, scale = frames(parts)
    reach = scale * torch.tensor([part.shape.reach for part in parts])
    low, high = centre - reach, centre + reach  # (B, P, 2)
    gone = ((high < -1) | (low > 1)).any(2, keepdim=True)
    first = low.masked_fill(gone, 1).amin(0).clamp(-1, 1)
    last = high.masked_fill(gone, -1).amax(0).clamp(-1, 1)
    pixels = torch.cat(
        [((first + 1) / 2 * image_size).floor(), ((last + 1) / 2 * image_size).ceil()], 1
    )
    return pixels.long().tolist()


def frames(parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
    """Centres and scales of all parts: (B, P, 2) each."""
    centre = torch.stack([part.centre for part in parts], 1)
    return centre, torch.stack([part.scale for part in parts], 1)
