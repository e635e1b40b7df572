"""Label Studio's JSON export (https://labelstud.io/guide/export)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from semsynth.data.annotations.regions import (
    Annotated,
    Region,
    ellipse,
    fill_polygons,
    polygon_of,
    rectangle,
    rotated,
)
from semsynth.data.errors import DataError

ELLIPSE = (("x", "y"), ("radiusX", "radiusY"))
RECTANGLE = (("x", "y"), ("width", "height"))


def read_label_studio(tasks: Sequence[Any]) -> tuple[list[Annotated], list[str], int]:
    """Photos, no list of classes, and how many results are not regions with a label.

    Later regions are on top. Of several annotations of a photo the first that was not cancelled
    counts; photos without one are left out.
    """
    photos, left_out = [], 0
    for task in tasks:
        done = [a for a in task["annotations"] if not a.get("was_cancelled")]
        results = [r for r in (done[0]["result"] if done else ()) if "original_width" in r]
        if not results:
            continue
        found = [region_of(result) for result in results]
        left_out += found.count(None)
        size = int(results[0]["original_height"]), int(results[0]["original_width"])
        photos.append(Annotated(photo_of(task), size, [region for region in found if region]))
    return photos, [], left_out


def photo_of(task: Mapping[str, Any]) -> str:
    """The path of a task's photo: an upload, a file of the server or an address."""
    data = task["data"]
    place = urlsplit(str(data.get("image") or next(iter(data.values()))))
    return parse_qs(place.query).get("d", [unquote(place.path)])[0]  # d is a file of the server


def region_of(result: Mapping[str, Any]) -> Region | None:
    """The region of a result; None if it has no label or no area."""
    value = result["value"]
    labels = value.get(result["type"])
    if not (isinstance(labels, list) and labels):
        return None
    if result.get("image_rotation"):
        raise DataError(
            f"result {result.get('id')} is on a rotated photo; rotate the file instead."
        )
    H, W = int(result["original_height"]), int(result["original_width"])
    if "rle" in value:
        fill = partial(fill_brush, bytes(value["rle"]))
    elif (polygon := outline(value, H, W)) is not None:
        fill = partial(fill_polygons, [polygon])
    else:
        return None
    return Region(str(labels[0]), fill)


def outline(value: Mapping[str, Any], H: int, W: int) -> np.ndarray | None:
    """The polygon (N, 2) of a polygon, rectangle or ellipse in percent of the photo."""
    scale, angle = np.array([W, H]) / 100, float(value.get("rotation", 0))
    if "points" in value:
        points = polygon_of(np.ravel(value["points"]).tolist()) * scale
        return points if len(points) > 2 else None
    if "radiusX" in value:
        centre, radii = (np.array([value[k] for k in keys]) * scale for keys in ELLIPSE)
        return ellipse(centre, radii, angle)
    if "height" in value:
        corner, size = (np.array([value[k] for k in keys]) * scale for keys in RECTANGLE)
        return rotated(rectangle((0, 0), size, 0), angle) + corner  # about the first corner
    return None


def fill_brush(packed: bytes, H: int, W: int) -> np.ndarray:
    """Pixels (H, W), bool, whose alpha is not 0, from runs of bits over the bytes of RGBA pixels.

    The header has the number of bytes (32 bits), bits of a value - 1 (5), and four widths - 1 (4
    each). A run says whether one value is repeated (1), which of the widths (2) its length - 1 has,
    and that length; then come its one value or its values.
    """
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    text = (bits + 48).tobytes().decode()
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(text[at - count : at] or "0", 2)

    total, width = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in range(4)]
    if total != H * W * 4 or width != 8:
        raise DataError(f"a brush mask is of {total} bytes, not of {W}x{H} pixels.")
    values = np.zeros(total, np.uint8)
    i = 0
    while i < total and at < len(text):
        repeated, length = take(1), take(widths[take(2)]) + 1
        end, used = min(i + length, total), 8 if repeated else 8 * length
        run = np.packbits(bits[at : at + used])
        if not len(run) or (not repeated and len(run) < end - i):
            break
        values[i:end] = run[0] if repeated else run[: end - i]
        i, at = end, at + used
    if i < total:
        raise DataError("a brush mask is truncated; export it again.")
    return values.reshape(H, W, 4)[..., 3] > 0
