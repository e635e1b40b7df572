"""Geometry of the toy portrait: the parts of a bust, placed by the factors of its layout.

Units are those of a head at zoom 1, whose face is 0.8 wide and 1.0 high, from its centre.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from semsynth.data.toy.drawing import Part, Shape, ellipse, everywhere, lathe

BACKGROUND, SKIN, HAIR, BROW, EYE, NOSE, MOUTH, NECK, CLOTH = range(9)

Number = float | Tensor
Frame = tuple[Tensor, Tensor]
Place = Callable[[Number, Number, Number, Number], Frame]
"""From x, y and the scales along x and y to centre and scale in the image (B, 2)."""


def face_parts(layout: dict[str, Tensor]) -> list[Part]:
    """The parts of a bust in drawing order, the background first, from factors (B,) each.

    They only move by centre and scale.
    """

    def place(x: Number, y: Number, scale_x: Number, scale_y: Number) -> Frame:
        one = torch.ones_like(layout["zoom"])
        centre = torch.stack([x * one, y * one], 1) * layout["zoom"][:, None]
        scale = torch.stack([scale_x * one, scale_y * one], 1) * layout["zoom"][:, None]
        head = torch.stack([layout["shift_x"], layout["shift_y"] - 0.14], 1)
        return head + centre, scale

    zeros = torch.zeros_like(layout["zoom"])[:, None].expand(-1, 2)
    background = Part(BACKGROUND, everywhere(), zeros, zeros + 1, light=(0.05, -0.15))
    return [background, *_bust(layout, place), *_head(layout, place), *_features(layout, place)]


def _bust(layout: dict[str, Tensor], place: Place) -> list[Part]:
    """What is behind the head and below it."""
    volume = layout["face_width"] * layout["hair_volume"]
    long_hair = place(0, -0.5, volume, 0.62 + 0.9 * layout["hair_length"])
    shoulders = place(0, 1.4, layout["shoulders"], 1)
    neck = place(0, 0.48, layout["face_width"], 1)
    return [
        Part(HAIR, _rounded(0.5, 1.0), *long_hair, tone=-0.3),
        Part(CLOTH, _shoulders, *shoulders, light=(-0.15, 0.0)),
        Part(NECK, _rounded(0.19, 0.4), *neck, light=(-0.5, 0.9)),
    ]


def _head(layout: dict[str, Tensor], place: Place) -> list[Part]:
    """Ears, hair and face; the ears turn behind the head, the fringe with the features."""
    width, height, turn = layout["face_width"], layout["face_height"], layout["yaw"].sin()
    volume = width * layout["hair_volume"]
    ears = [
        place(side * 0.4 * width - 0.1 * turn, 0.02, 1 + side * 0.5 * turn, 1) for side in (-1, 1)
    ]
    face = place(0, 0, width, height)
    fringe = place(0.06 * turn, 0, width, height)
    return [
        Part(HAIR, _cap, *place(0, -0.08, volume, height), light=(-0.3, -0.3)),
        *(Part(SKIN, ellipse(0.08, 0.13), *ear, tone=-0.12) for ear in ears),
        Part(SKIN, _face, *face, light=(-0.22, -0.1)),
        Part(HAIR, _fringe(layout["hairline"], layout["parting"]), *fringe, light=(-0.3, -0.3)),
    ]


def _features(layout: dict[str, Tensor], place: Place) -> list[Part]:
    """Eyes, brows, nose and mouth, on a cylinder that turns by the yaw."""
    width, yaw, size = layout["face_width"], layout["yaw"], layout["eye_size"]
    parts = []
    for side in (-1, 1):
        angle = yaw + side * layout["eye_angle"]
        x, narrow = 0.42 * width * angle.sin(), 1.12 * angle.cos() * size
        eye = place(x, -0.04, narrow, size)
        brow = place(x, -0.04 - layout["brow_height"], narrow, 1)
        parts += [
            Part(EYE, ellipse(0.11, 0.075), *eye, tone=0.85),
            Part(EYE, ellipse(0.062, 0.068), *eye),
            Part(EYE, ellipse(0.03, 0.034), *eye, tone=-0.85),
            Part(BROW, _brow, *brow),
        ]
    nose = place(0.48 * width * yaw.sin(), -0.02, yaw.cos() * layout["nose_size"], 1.05)
    mouth_x, mouth_y = 0.42 * width * yaw.sin(), 0.31 * layout["face_height"]
    mouth_width, opening = yaw.cos() * layout["mouth_width"], layout["mouth_open"]
    lips = place(mouth_x, mouth_y, mouth_width, 0.75 + 0.85 * opening)
    gap = place(mouth_x, mouth_y, mouth_width, 0.1 + 1.4 * opening)
    return [
        *parts,
        Part(NOSE, _nose, *nose, light=(-1.5, 0.8)),
        Part(MOUTH, ellipse(0.15, 0.07), *lips, light=(0.0, -2.0)),
        Part(MOUTH, ellipse(0.1, 0.035), *gap, tone=-0.75),
    ]


def _rounded(radius_x: float, height: float) -> Shape:
    """A column with round corners that begins at y = 0."""

    def half_width(y: Tensor) -> Tensor:
        return radius_x * (1 - (2 * y / height - 1) ** 4).clamp(min=0) ** 0.25

    return lathe(half_width, (radius_x, height))


def _half_shoulders(y: Tensor) -> Tensor:
    """Sloping shoulders above y = 0, straight sides below."""
    return 0.82 * (1 - (y.clamp(max=0) / 0.78).abs() ** 2.6).clamp(min=0).sqrt()


def _half_cap(y: Tensor) -> Tensor:
    """Round above, tapered below, so that the face has no mane."""
    return 0.47 * (1 - (y / torch.where(y < 0, 0.56, 0.42)) ** 2).clamp(min=0).sqrt()


def _half_face(y: Tensor) -> Tensor:
    """An oval whose lower half narrows to a chin."""
    chin = 1 - 0.16 * (y.clamp(min=0) / 0.5) ** 1.5
    return 0.4 * chin * (1 - (y / 0.5).abs() ** 2.3).clamp(min=0).sqrt()


def _half_nose(y: Tensor) -> Tensor:
    """Narrow at the bridge, round at the tip, from y = 0 to y = 0.23."""
    width = 0.035 + 0.06 * (y / 0.16).clamp(0, 1) ** 1.5
    return torch.where(y > 0, width * (1 - ((y - 0.16) / 0.07).clamp(0, 1) ** 2).sqrt(), -1.0)


def _inside_brow(x: Tensor, y: Tensor) -> Tensor:
    """An arch of even thickness with pointed ends."""
    half_height = 0.04 * (1 - (x / 0.14) ** 4).clamp(min=0).sqrt()
    return (y - 2.2 * x**2 + 0.02).abs() < half_height


def _fringe(hairline: Tensor, parting: Tensor) -> Shape:
    """The top of the head down to a line that is highest at the parting; (B,) each."""
    hairline, parting = hairline[:, None, None], parting[:, None, None]

    def inside(x: Tensor, y: Tensor) -> Tensor:
        head = x.abs() < 0.425 * (1 - (y / 0.54) ** 2).clamp(min=0).sqrt()
        return head & (y < 2.2 * (x - parting) ** 2 - 0.34 + hairline)

    return Shape(inside, (0.425, 0.54))


_shoulders = lathe(_half_shoulders, (0.82, math.inf))
_cap = lathe(_half_cap, (0.47, 0.56))
_face = lathe(_half_face, (0.4, 0.5))
_nose = lathe(_half_nose, (0.1, 0.23))
_brow = Shape(_inside_brow, (0.14, 0.1))
