"""The marks of a user: drags, zooms and anchors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from semsynth.errors import UserError

MAX_MARKS = 64
MAX_LOG_EXPANSION = math.log(4)
SHORTEST = 1.0  # pixels of the canvas; a shorter drag is a click


class EditError(UserError):
    """An edit that cannot be done; the message says why."""


@dataclass(frozen=True)
class Mark:
    """A point and what is to become of it; an anchor if it is to stay.

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
        """A mark from a dictionary of its numbers, as JSON holds it.

        Raises:
            EditError: A number is missing, unknown or no number.
        """
        try:
            return cls(**{str(name): float(value) for name, value in dict(values).items()})
        except (TypeError, ValueError) as error:
            raise EditError(
                f"A mark is a dictionary of numbers x, y and perhaps dx, dy and log_expansion, got "
                f"{values!r}."
            ) from error

    @property
    def moves(self) -> bool:
        """Whether it asks for a change: a drag of less than a pixel does not."""
        return math.hypot(self.dx, self.dy) >= SHORTEST or self.log_expansion != 0


def check_marks(marks: Sequence[Mark], size: int) -> None:
    """Refuse marks that cannot be followed.

    Args:
        marks: The marks.
        size: Height and width of the canvas.

    Raises:
        EditError: There are too many, or one is not finite, outside the image or too long.
    """
    if len(marks) > MAX_MARKS:
        raise EditError(f"At most {MAX_MARKS} marks can be followed at once, got {len(marks)}.")
    for number, mark in enumerate(marks, 1):
        values = (mark.x, mark.y, mark.dx, mark.dy, mark.log_expansion)
        if not all(map(math.isfinite, values)):
            raise EditError(f"Mark {number} holds a number that is not finite: {mark}.")
        if not (0 <= mark.x <= size - 1 and 0 <= mark.y <= size - 1):
            raise EditError(
                f"Mark {number} is outside the image: its point ({mark.x:g}, {mark.y:g}) must lie "
                f"in 0..{size - 1}."
            )
        if math.hypot(mark.dx, mark.dy) > size:
            raise EditError(
                f"Mark {number} is dragged by ({mark.dx:g}, {mark.dy:g}), which is more than the "
                f"image's {size} pixels."
            )
        if abs(mark.log_expansion) > MAX_LOG_EXPANSION:
            raise EditError(
                f"Mark {number} zooms by more than a factor of 4: its log expansion is "
                f"{mark.log_expansion:g} and must lie within {MAX_LOG_EXPANSION:.3f} of 0."
            )


def as_tensors(marks: Sequence[Mark], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Points (1, K, 2), motions (1, K, 3), which are exactly 0 for anchors, and a mask (1, K)."""
    points = torch.tensor([[mark.x, mark.y] for mark in marks], device=device)
    motions = torch.tensor(
        [[mark.dx, mark.dy, mark.log_expansion] if mark.moves else [0.0] * 3 for mark in marks],
        device=device,
    )
    mask = torch.ones(1, len(marks), dtype=torch.bool, device=device)
    return points[None].float(), motions[None].float(), mask
