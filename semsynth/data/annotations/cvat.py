"""CVAT's XML, "CVAT for images 1.1" (https://docs.cvat.ai/docs/manual/advanced/xml_format)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from semsynth.data.annotations.regions import (
    Annotated,
    Region,
    ellipse,
    fill_box,
    fill_polygons,
    fill_runs,
    polygon_of,
    rectangle,
)
from semsynth.data.errors import DataError

REGIONS = ("polygon", "box", "ellipse", "mask")


def parse_xml(content: bytes) -> Element:
    """The tree of an XML file; one that declares a document type or entities is refused."""

    def refuse(*declared: object) -> NoReturn:
        raise DataError(f"it declares the document type {declared[0]!r}, which may expand to much.")

    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise DataError(f"it is not XML ({error}); export it again.") from error
    return builder.close()


def read_cvat(root: Element) -> tuple[list[Annotated], list[str], int]:
    """Photos, classes, and how many shapes are points, lines or tags.

    The highest ``z_order`` is on top. Shapes of a class and group are one instance.
    """
    if root.find("track") is not None:
        raise DataError("it is a video's; export it from CVAT as 'CVAT for images 1.1'.")
    names = [label.findtext("name", "") for label in root.iterfind("meta/*/labels/label")]
    photos, left_out = [], 0
    for image in root.iterfind("image"):
        regions = [region_of(shape) for shape in image if shape.tag in REGIONS]
        size = int(image.attrib["height"]), int(image.attrib["width"])
        photos.append(Annotated(image.attrib["name"], size, regions))
        left_out += len(image) - len(regions)
    return photos, names, left_out


def region_of(shape: Element) -> Region:
    """The region of a polygon, box, ellipse or mask."""
    values = shape.attrib
    group = values.get("group_id", "0")
    depth, group_of_one = float(values.get("z_order", 0)), None if group == "0" else group
    if shape.tag == "mask":
        left, top, width, height = (int(values[k]) for k in ("left", "top", "width", "height"))
        runs = [int(run) for run in values["rle"].split(",")]
        fill = partial(fill_crop, runs, left, top, width, height)
    else:
        fill = partial(fill_polygons, [outline(shape.tag, values)])
    return Region(values["label"], fill, depth, group_of_one)


def fill_crop(
    runs: Sequence[int], left: int, top: int, width: int, height: int, H: int, W: int
) -> np.ndarray:
    """Pixels (H, W), bool, of a mask whose runs go row by row through a box."""
    return fill_box(fill_runs(runs, False, min(height, H), min(width, W)), left, top, H, W)


def outline(tag: str, values: Mapping[str, str]) -> np.ndarray:
    """The polygon (N, 2) of a polygon, box or ellipse."""
    if tag == "polygon":
        return polygon_of([float(n) for n in values["points"].replace(";", ",").split(",")])
    angle = float(values.get("rotation", 0))
    if tag == "ellipse":
        x, y, rx, ry = (float(values[k]) for k in ("cx", "cy", "rx", "ry"))
        return ellipse((x, y), (rx, ry), angle)
    left, top, right, bottom = (float(values[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
    return rectangle((left, top), (right - left, bottom - top), angle)
