"""Marks of a user, the one form of a drag in Python: points to move, and anchors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from semsynth.errors import UserError

MAX_MARKS = 64
MAX_LOG_EXPANSION = math.log(4)
SHORTEST = 1.0  # pixels of the canvas; a shorter drag is a click


class EditError(UserError):
    """An edit is impossible; the message says why."""


@dataclass(frozen=True)
class Mark:
    """A point and how it moves; an anchor if it does not.

    Attributes:
        x: Position in pixels of the canvas, to the right; 0 is the centre of the first one.
        y: Position in pixels of the canvas, downwards.
        dx: Motion to the right.
        dy: Motion downwards.
        log_expansion: Log of the old over the new size: negative to come closer.
    """

    x: float
    y: float
    dx: float = 0.0
    dy: float = 0.0
    log_expansion: float = 0.0

    @classmethod
    def parse(cls, values: Any) -> Self:
        """A mark from a dictionary of numbers, as read from JSON."""
        try:
            return cls(**{str(name): float(value) for name, value in dict(values).items()})
        except (TypeError, ValueError) as error:
            raise EditError(
                "A mark is a dictionary of numbers x, y and optionally dx, dy and log_expansion, "
                f"got {values!r}."
            ) from error

    @property
    def moves(self) -> bool:
        """Whether it requests a change: a drag of less than a pixel does not."""
        return math.hypot(self.dx, self.dy) >= SHORTEST or self.log_expansion != 0


class Marks(NamedTuple):
    """The marks of a batch of images.

    Attributes:
        points: Positions (B, K, 2) in pixels (x, y) of the canvas.
        motions: Flow (x, y) in pixels of the canvas and log expansion (B, K, 3); 0 for anchors.
        points_mask: Which of the marks exist (B, K), bool.
    """

    points: Tensor
    motions: Tensor
    points_mask: Tensor

    @classmethod
    def of(cls, marks: Sequence[Mark], size: int, device: torch.device | None = None) -> Self:
        """Marks of one image, checked against the limits of a user's request on a canvas."""
        if len(marks) > MAX_MARKS:
            raise EditError(f"At most {MAX_MARKS} marks are allowed, got {len(marks)}.")
        rows = [[m.x, m.y, m.dx, m.dy, m.log_expansion] for m in marks]
        values = torch.tensor(rows, device=device).view(1, len(marks), 5)
        points, motions = values.split([2, 3], dim=2)
        moves = torch.tensor([[mark.moves for mark in marks]], dtype=torch.bool, device=device)
        check_marks(points, motions, torch.ones_like(moves), size)
        for number, mark in enumerate(marks, 1):
            if math.hypot(mark.dx, mark.dy) > size:
                raise EditError(
                    f"Mark {number} is dragged by ({mark.dx:g}, {mark.dy:g}), which is more than "
                    f"the image's {size} pixels."
                )
            if abs(mark.log_expansion) > MAX_LOG_EXPANSION:
                raise EditError(
                    f"Mark {number} zooms by more than a factor of 4: its log expansion is "
                    f"{mark.log_expansion:g} and must lie within {MAX_LOG_EXPANSION:.3f} of 0."
                )
        return cls(points, motions.where(moves[..., None], 0), torch.ones_like(moves))

    def read(self, features: Tensor, size: int) -> Tensor:
        """Nearest features (B, K, C) of maps (B, C, h, w) that cover a canvas of a size."""
        h, w = features.shape[-2:]
        pixels = self.points.nan_to_num().round().long().clamp(0, size - 1)
        x, y = (pixels[..., 0] * w).div(size, rounding_mode="floor"), pixels[..., 1] * h
        return read_cells(features, y.div(size, rounding_mode="floor") * w + x)


def check_marks(points: Tensor, motions: Tensor, points_mask: Tensor, size: int) -> None:
    """Refuse marks with wrong shapes, NaN, infinite or outside the canvas (see ``Marks``)."""
    B, K = points_mask.shape
    if points.shape != (B, K, 2) or motions.shape != (B, K, 3):
        raise EditError(
            "Expected points (B, K, 2), motions (B, K, 3) and points_mask (B, K), got "
            f"{tuple(points.shape)}, {tuple(motions.shape)} and {tuple(points_mask.shape)}."
        )
    finite = points.isfinite().all(-1) & motions.isfinite().all(-1)
    inside = ((points >= 0) & (points <= size - 1)).all(-1)
    bad = points_mask & ~(finite & inside)
    if bad.any():
        b, k = bad.nonzero()[0].tolist()
        raise EditError(
            f"Mark {k + 1} must be finite and its point inside the image, 0..{size - 1} in x and "
            f"y; got point {points[b, k].tolist()} and motion {motions[b, k].tolist()}."
        )


def read_cells(field: Tensor, cells: Tensor) -> Tensor:
    """Values (B, K, C) of a field on a grid (B, C, h, w) in cells (B, K), numbered row by row."""
    C = field.shape[1]
    return field.flatten(2).gather(2, cells[:, None].expand(-1, C, -1)).mT
