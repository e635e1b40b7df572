"""labelme's JSON, one file per photo (https://github.com/wkentaro/labelme)."""

import base64
import io
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from semsynth.data.annotations.regions import (
    Annotated,
    Region,
    ellipse,
    fill_box,
    fill_polygons,
    polygon_of,
    rectangle,
)


def read_labelme(content: Mapping[str, Any]) -> tuple[list[Annotated], list[str], int]:
    """The photo of a file, no list of classes, and how many shapes are points or lines.

    Later shapes are on top.
    """
    found = [region_of(shape) for shape in content["shapes"]]
    regions = [region for region in found if region]
    size = int(content["imageHeight"]), int(content["imageWidth"])
    photo = str(content["imagePath"]).replace("\\", "/")
    return [Annotated(photo, size, regions)], [], len(found) - len(regions)


def region_of(shape: Mapping[str, Any]) -> Region | None:
    """The region of a shape; None if it has no area."""
    points = polygon_of(np.ravel(shape["points"]).tolist())
    kind, group = shape.get("shape_type", "polygon"), shape.get("group_id")
    if kind == "mask":
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=["PNG"]) as opened:
            content = np.asarray(opened) > 0
        left, top = points[0].astype(int).tolist()
        fill = partial(fill_box, content, left, top)
    elif kind == "polygon" and len(points) > 2:
        fill = partial(fill_polygons, [points])
    elif kind == "rectangle":
        corner = points.min(0)
        fill = partial(fill_polygons, [rectangle(corner, points.max(0) - corner, 0)])
    elif kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        fill = partial(fill_polygons, [ellipse(points[0], (radius, radius), 0)])
    else:
        return None
    return Region(str(shape["label"]), fill, group=None if group is None else str(group))
