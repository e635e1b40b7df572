"""Parts painted over one another: which part is seen where, for a whole batch at once.

Coordinates are (x, y) in [-1, 1], x to the right and y down, whatever the resolution. A part lives
in coordinates of its own, ``(point - centre) / scale``, in which its shape, its texture and its
light are fixed: to move a part is to change its centre and its scale, and everything follows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = Callable[[Tensor, Tensor], Tensor]
"""Says which points are inside, from part coordinates x and y that broadcast with one another: a
pixel grid comes as (B, 1, W) and (B, H, 1), so that what depends on one axis costs next to nothing.
"""


@dataclass(frozen=True)
class Part:
    """One thing to paint.

    Attributes:
        label: Class of its pixels.
        shape: Which points it covers, in its own coordinates.
        centre: Position in the image (B, 2).
        scale: Size in the image of one unit of its own coordinates (B, 2).
        tone: Mixes black (towards -1) or white (towards 1) into the colour of the class.
        light: Change of brightness per unit of its own x and y.
        glow: 1 for what shines by itself after dark, 0 for what does not.
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


def everywhere(x: Tensor, y: Tensor) -> Tensor:
    """The shape of a background."""
    return both(torch.ones_like(x, dtype=torch.bool), torch.ones_like(y, dtype=torch.bool))


def both(a: Tensor, b: Tensor) -> Tensor:
    """``a & b`` for a row and a column, where a product of bytes is fifteen times faster."""
    return (a.view(torch.uint8) * b.view(torch.uint8)).view(torch.bool)


def ellipse(radius_x: float, radius_y: float) -> Shape:
    """An ellipse around the part's centre."""
    return lathe(lambda y: radius_x * (1 - (y / radius_y) ** 2).clamp(min=0).sqrt())


def box(radius_x: float, radius_y: float) -> Shape:
    """A rectangle around the part's centre."""
    return lambda x, y: both(x.abs() < radius_x, y.abs() < radius_y)


def lathe(half_width: Callable[[Tensor], Tensor]) -> Shape:
    """A shape with left-right symmetry, from its half width at each height."""
    return lambda x, y: x.abs() < half_width(y)


def pixel_centres(image_size: int) -> tuple[Tensor, Tensor]:
    """Coordinates x (1, 1, W) and y (1, H, 1) of the pixel centres of a square image."""
    centres = (2 * torch.arange(image_size, dtype=torch.float32) + 1) / image_size - 1
    return centres.view(1, 1, -1), centres.view(1, -1, 1)


def topmost(parts: Sequence[Part], x: Tensor, y: Tensor) -> Tensor:
    """Number of the part that is seen at each point.

    Args:
        parts: Parts in drawing order, at most 256; the first covers everything.
        x: Horizontal coordinates, (B or 1, 1, W) for a grid or (B, H, W) for any points.
        y: Vertical coordinates, (B or 1, H, 1) for a grid or (B, H, W) for any points.

    Returns:
        Position in ``parts`` (B, H, W), int64.
    """
    B = len(parts[0].centre)
    H, W = max(x.shape[1], y.shape[1]), max(x.shape[2], y.shape[2])
    seen = torch.zeros(B, H, W, dtype=torch.uint8)
    for number, part in enumerate(parts):  # what is painted later hides what is painted earlier
        centre_x, centre_y = part.centre[:, :, None, None].unbind(1)
        scale_x, scale_y = part.scale[:, :, None, None].unbind(1)
        inside = part.shape((x - centre_x) / scale_x, (y - centre_y) / scale_y)
        # The number grows with each part, so the maximum paints over; faster than masked_fill_.
        torch.maximum(seen, inside.view(torch.uint8) * number, out=seen)
    return seen.long()


def frames(parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
    """Centres and scales of all parts: (B, P, 2) each."""
    centre = torch.stack([part.centre for part in parts], 1)
    return centre, torch.stack([part.scale for part in parts], 1)
