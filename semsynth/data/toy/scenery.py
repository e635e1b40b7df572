"""Geometry of the toy street: its parts, placed by the factors of its layout.

Objects on the ground are in perspective: at depth d the ground is d below the horizon, and objects
on it are scaled by d. From a camera at eye level all heads are at the horizon.
"""

import math

import torch
from torch import Tensor

from semsynth.data.toy.drawing import Part, Shape, both, box, ellipse, everywhere, lathe

SKY, BUILDING, VEGETATION, ROAD, SIDEWALK, CAR, PERSON, POLE = range(8)

DEPTHS = ((0.15, 0.2), (0.25, 0.32), (0.4, 0.5), (0.62, 0.8))
"""Depth range of each row of objects, from far to near, which is the drawing order."""

Frame = tuple[Tensor, Tensor]
Layout = dict[str, Tensor]


def street_parts(layout: Layout) -> list[Part]:
    """The parts of a street in drawing order, the sky first, from factors (B,) or (B, number).

    Cars are instances 1 to 4, persons instances 5 to 8.
    """
    rows = [part for row in range(len(DEPTHS)) for part in _row(layout, row)]
    return [*_far(layout), *_trees(layout), *_ground(layout), *rows]


def _frame(x: Tensor, y: Tensor, scale_x: Tensor, scale_y: Tensor | None = None) -> Frame:
    """Centre and scale (B, 2); the scale along y is that along x unless given."""
    return torch.stack([x, y], 1), torch.stack(
        [scale_x, scale_x if scale_y is None else scale_y], 1
    )


def _far(layout: Layout) -> list[Part]:
    """Sky, sun, and a row of buildings that is higher towards both sides."""
    one, horizon = torch.ones_like(layout["horizon"]), layout["horizon"]
    sky = _frame(0 * one, 0 * one, one)
    sun = _frame(layout["sun_x"], layout["sun_y"], one)
    parts = [
        Part(SKY, everywhere(), *sky, light=(0.0, 0.25)),
        Part(SKY, ellipse(0.13, 0.13), *sun, tone=0.8, glow=0.9),
    ]
    for k, side in enumerate((-0.3, 0.35, -0.62, 0.66, -0.98, 1.0)):
        height = (0.25 + 0.5 * abs(side)) * layout["building_height"][:, k]
        x = side + layout["building_shift"][:, k]
        walls = _frame(x, horizon, layout["building_width"][:, k], one)
        tone = (-0.25, -0.15, 0.0, -0.1, 0.1, 0.0)[k]
        parts += [
            Part(BUILDING, _above(1.0, height, 1.0), *walls, tone=tone, light=(-0.15, 0.0)),
            Part(BUILDING, _windows(height), *walls, tone=-0.6, glow=0.95),
        ]
    return parts


def _trees(layout: Layout) -> list[Part]:
    """Bushes along the horizon, and trees before the buildings."""
    one, horizon = torch.ones_like(layout["horizon"]), layout["horizon"]
    parts = [Part(VEGETATION, _bushes, *_frame(layout["bushes"], horizon, one), tone=-0.2)]
    for k, side in enumerate((-0.7, 0.75, 0.4)):
        x, size = side + layout["tree_shift"][:, k], layout["tree_size"][:, k]
        x = x + 4 * (layout["tree_shown"][:, k] > 0.65)  # absent: out of sight
        parts += [
            Part(VEGETATION, box(0.06, 0.6), *_frame(x, horizon, size), tone=-0.6),
            Part(VEGETATION, _crown, *_frame(x, horizon - 0.62 * size, size), light=(-0.5, -0.6)),
        ]
    return parts


def _ground(layout: Layout) -> list[Part]:
    """A lawn, sidewalks, curb, road and lane marking that meet in the vanishing point."""
    one, road = torch.ones_like(layout["horizon"]), layout["road"]
    vanishing = _frame(layout["vanishing"], layout["horizon"], one)
    on_road = _frame(layout["vanishing"], layout["horizon"], road, one)
    on_sidewalk = _frame(layout["vanishing"], layout["horizon"], road + layout["sidewalk"], one)
    return [
        Part(VEGETATION, lathe(lambda y: torch.where(y > 0.03, 9.0, -1.0)), *vanishing, tone=-0.1),
        Part(SIDEWALK, lathe(lambda y: torch.where(y > 0, y + 0.05, -1.0)), *on_sidewalk),
        Part(SIDEWALK, lathe(lambda y: torch.where(y > 0, 1.1 * y, -1.0)), *on_road, tone=-0.45),
        Part(ROAD, lathe(lambda y: torch.where(y > 0, y, -1.0)), *on_road, light=(0.0, 0.15)),
        Part(ROAD, lathe(_half_dashes, (0.1, math.inf)), *on_road, tone=0.8),
    ]


def _row(layout: Layout, row: int) -> list[Part]:
    """Pole, person and car at one depth, each optional."""
    low, high = DEPTHS[row]
    depth = low + (high - low) * layout["depth"][:, row]
    y = layout["horizon"] + depth

    def stand(thing: str, sideways: Tensor, probability: float, thin: float = 0.0) -> Frame:
        """Placement of an object; at least as wide as at depth ``thin``."""
        x = layout["vanishing"] + sideways * depth
        x = x + 4 * (layout[f"{thing}_shown"][:, row] > probability)  # absent: out of sight
        return _frame(x, y, depth.clamp(min=thin), depth)

    sides = {thing: layout[f"{thing}_side"][:, row].sign() for thing in ("car", "person", "pole")}
    lateral = layout["road"] + layout["sidewalk"] * layout["person_lateral"][:, row]
    pole = stand("pole", sides["pole"] * (layout["road"] + 0.06), 0.85, thin=0.5)
    up = torch.stack([0 * depth, 0.85 * depth], 1)
    person = stand("person", sides["person"] * lateral, 0.85, thin=0.22)
    car = stand("car", sides["car"] * 0.5 * layout["road"], 0.8)
    return [
        Part(POLE, box(0.065, 0.85), pole[0] - up, pole[1], light=(-4.0, 0.0)),
        Part(POLE, ellipse(0.17, 0.15), pole[0] - 2 * up, pole[1], tone=0.5, glow=1.0),
        *_person(person, instance=5 + row),
        *_car(car, instance=1 + row),
    ]


def _person(frame: Frame, instance: int) -> list[Part]:
    """Body, legs and head of a person whose feet are at y = 0."""

    def half_body(y: Tensor) -> Tensor:
        return 0.19 * (1 - ((y + 0.55) / 0.24) ** 4).clamp(min=0).sqrt()

    def half_head(y: Tensor) -> Tensor:
        return 0.105 * (1 - ((y + 0.88) / 0.115) ** 2).clamp(min=0).sqrt()

    def legs(x: Tensor, y: Tensor) -> Tensor:
        return both((x.abs() - 0.09).abs() < 0.065, (y + 0.2).abs() < 0.2)

    return [
        Part(PERSON, Shape(legs, (0.16, 0.4)), *frame, tone=-0.6, instance=instance),
        Part(PERSON, lathe(half_body, (0.19, 0.79)), *frame, instance=instance, light=(-0.8, 0.0)),
        Part(PERSON, lathe(half_head, (0.11, 1.0)), *frame, tone=0.45, instance=instance),
    ]


def _car(frame: Frame, instance: int) -> list[Part]:
    """A car from behind, its wheels at y = 0."""

    def lights(x: Tensor, y: Tensor) -> Tensor:
        return both((x.abs() - 0.27).abs() < 0.05, (y + 0.24).abs() < 0.045)

    def wheels(x: Tensor, y: Tensor) -> Tensor:
        return both((x.abs() - 0.26).abs() < 0.07, (y + 0.03).abs() < 0.07)

    return [
        Part(CAR, Shape(wheels, (0.33, 0.11)), *frame, tone=-0.9, instance=instance),
        Part(CAR, lathe(_half_car, (0.36, 0.58)), *frame, instance=instance, light=(0.0, 0.8)),
        Part(CAR, lathe(_half_screen, (0.28, 0.53)), *frame, tone=-0.65, instance=instance),
        Part(CAR, Shape(lights, (0.33, 0.3)), *frame, tone=0.6, glow=1.0, instance=instance),
    ]


def _half_car(y: Tensor) -> Tensor:
    """Cabin above y = -0.32, body below."""
    cabin = 0.27 + 0.22 * (y + 0.58)
    body = 0.36 - 4 * (y + 0.2).abs().sub(0.08).clamp(min=0) ** 2
    half_width = torch.where(y < -0.32, cabin, body)
    return torch.where((y > -0.58) & (y < -0.04), half_width, -1.0)


def _half_screen(y: Tensor) -> Tensor:
    """The rear window."""
    return torch.where((y + 0.44).abs() < 0.09, 0.24 + 0.2 * (y + 0.52), -1.0)


def _half_dashes(y: Tensor) -> Tensor:
    """Dashes of equal length on the ground, shorter towards the horizon."""
    dash = torch.frac(1.1 / y.clamp(min=0.05)) < 0.55
    return torch.where(dash & (y > 0.08), 0.05 * y, -1.0)


def _above(half_width: float, height: Tensor, depth: float) -> Shape:
    """A box from ``height`` (B,) above the part's centre to ``depth`` below it."""

    def inside(x: Tensor, y: Tensor) -> Tensor:
        return both(x.abs() < half_width, (y > -height[:, None, None]) & (y < depth))

    return Shape(inside, (half_width, 1.5))


def _windows(height: Tensor) -> Shape:
    """Rows and columns of windows below the roof at ``height`` (B,)."""

    def inside(x: Tensor, y: Tensor) -> Tensor:
        columns = (torch.frac(x * 2.5 + 10) < 0.5) & (x.abs() < 0.95)
        rows = torch.frac((y + height[:, None, None]) / 0.15) > 0.5
        return both(columns, rows & (y > 0.05 - height[:, None, None]) & (y < -0.03))

    return Shape(inside, (0.95, 1.5))


def _inside_bushes(x: Tensor, y: Tensor) -> Tensor:
    """A bumpy hedge around y = 0, on one side."""
    top = 0.1 + 0.05 * (11 * x).sin() + 0.03 * (23 * x).cos()
    return torch.where(y < 0.1, y, -9.0) > torch.where(x > 0, -top, 1.0)


def _half_crown(y: Tensor) -> Tensor:
    """A round crown with a wavy outline."""
    return (1 + 0.12 * (14 * y).sin()) * 0.42 * (1 - (y / 0.48) ** 2).clamp(min=0).sqrt()


_bushes = Shape(_inside_bushes, (math.inf, 0.2))
_crown = lathe(_half_crown, (0.48, 0.48))
