"""Labelled regions of a photo, whichever tool they come from, painted into label maps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from semsynth.data.errors import DataError

try:
    from pycocotools import mask as pycocotools
except ImportError:
    pycocotools = None

UNLABELLED = 255
CIRCLE = 180  # vertices; a polygon of so many is within 0.0002 radii of it
Vector = Sequence[float] | np.ndarray  # (x, y)
FARTHEST = 1e6  # pixels that a vertex may lie from the origin


@dataclass(frozen=True)
class Region:
    """A labelled region.

    Attributes:
        name: Its class.
        fill: Its pixels, bool (H, W), for a height and width.
        depth: Regions are painted in this order, of equal ones the first in the file first.
        group: Regions of one class and group are one instance; None for one of its own.
        crowd: Many instances in one region, which are not told apart.
    """

    name: str
    fill: Callable[[int, int], np.ndarray]
    depth: float = 0
    group: str | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Annotated:
    """The annotation of a photo.

    Attributes:
        photo: The photo as the file names it: a path or a part of one.
        size: Height and width.
        regions: Labelled regions in the order of the file.
    """

    photo: str
    size: tuple[int, int]
    regions: Sequence[Region]


def paint(
    annotated: Annotated, classes: Sequence[str], background: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Label map (H, W), uint8, and instance map (H, W), uint16, from 1; 0 is no instance."""
    H, W = annotated.size
    start = UNLABELLED if background is None else classes.index(background)
    mask, instance = np.full((H, W), start, np.uint8), np.zeros((H, W), np.uint16)
    numbers: dict[tuple[str, object], int] = {}
    for i, region in enumerate(sorted(annotated.regions, key=lambda r: r.depth)):
        inside = region.fill(H, W)
        mask[inside] = classes.index(region.name)
        key = (region.name, i if region.group is None else region.group)
        instance[inside] = 0 if region.crowd else numbers.setdefault(key, len(numbers) + 1)
    return mask, instance


def fill_polygons(polygons: Sequence[np.ndarray], H: int, W: int) -> np.ndarray:
    """The union of polygons (N, 2) of (x, y), bool (H, W), as pycocotools fills them if present."""
    if any(len(polygon) < 3 for polygon in polygons):
        raise DataError("a polygon has fewer than three points.")
    if pycocotools is None:
        return np.any([fill_polygon(polygon, H, W) for polygon in polygons], axis=0)
    encoded = pycocotools.frPyObjects([p.ravel().tolist() for p in polygons], H, W)
    return pycocotools.decode(pycocotools.merge(encoded)).astype(bool)


def fill_polygon(polygon: np.ndarray, H: int, W: int) -> np.ndarray:
    """Pixels (H, W), bool, whose centres are in a polygon (N, 2), by the even-odd rule."""
    x, y = polygon.T
    dx, dy = np.roll(x, -1) - x, np.roll(y, -1) - y
    centre = np.arange(H)[:, None] + 0.5
    row, edge = np.nonzero((y <= centre) != (np.roll(y, -1) <= centre))
    crossing = x[edge] + (row + 0.5 - y[edge]) * dx[edge] / dy[edge]
    first = np.ceil(crossing - 0.5).clip(0, W).astype(int)  # pixel on its right
    crossings = np.zeros((H, W + 1), int)
    np.add.at(crossings, (row, first), 1)
    return crossings.cumsum(1)[:, :W] % 2 == 1


def fill_runs(counts: Sequence[int], by_column: bool, H: int, W: int) -> np.ndarray:
    """Pixels (H, W), bool, from lengths of runs in turn outside and inside."""
    if min(counts, default=0) < 0 or sum(counts) != H * W:
        raise DataError(
            f"a run-length encoding is of {sum(counts)} pixels, not of {W}x{H}; export it again."
        )
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return inside.reshape(W, H).T if by_column else inside.reshape(H, W)


def fill_box(content: np.ndarray, left: int, top: int, H: int, W: int) -> np.ndarray:
    """Pixels (H, W), bool, of a part (h, w) with its corner in column ``left``, row ``top``."""
    h, w = content.shape
    if left < 0 or top < 0 or left + w > W or top + h > H:
        raise DataError(f"a mask at ({left}, {top}) of {w}x{h} is not inside {W}x{H} pixels.")
    inside = np.zeros((H, W), bool)
    inside[top : top + h, left : left + w] = content
    return inside


def polygon_of(numbers: Sequence[float]) -> np.ndarray:
    """A polygon (N, 2) of x, y, x, y, ..."""
    points = np.array(numbers, np.float64)
    if len(points) % 2 or not (np.abs(points) < FARTHEST).all():
        raise DataError("a polygon is not pairs of finite numbers.")
    return points.reshape(-1, 2)


def rectangle(corner: Vector, size: Vector, angle: float) -> np.ndarray:
    """A rectangle (4, 2) by its first corner, rotated clockwise by degrees about its centre."""
    half = np.asarray(size) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return rotated(corners, angle) + np.asarray(corner) + half


def ellipse(centre: Vector, radii: Vector, angle: float) -> np.ndarray:
    """An ellipse as a polygon (N, 2), rotated clockwise by degrees."""
    phi = np.linspace(0, 2 * math.pi, CIRCLE, endpoint=False)
    circle = np.stack([np.cos(phi), np.sin(phi)], 1)
    return rotated(circle * np.asarray(radii), angle) + np.asarray(centre)


def rotated(points: np.ndarray, angle: float) -> np.ndarray:
    """Points (N, 2) rotated about the origin; clockwise, as y points down."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return points @ np.array([[cos, sin], [-sin, cos]])
