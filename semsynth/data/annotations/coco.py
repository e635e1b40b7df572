"""COCO's JSON (https://cocodataset.org/#format-data)."""

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from semsynth.data.annotations.regions import (
    Annotated,
    Region,
    fill_polygons,
    fill_runs,
    polygon_of,
)
from semsynth.data.errors import DataError


def read_coco(content: Any) -> tuple[list[Annotated], list[str], int]:
    """Photos, classes by id, and how many annotations are boxes alone.

    Their order says nothing of depth, so smaller regions lie on larger ones, and on crowds.
    """
    listed = sorted(content["categories"], key=lambda category: category["id"])
    names = {category["id"]: str(category["name"]) for category in listed}
    of_photo: dict[Any, list[Region]] = defaultdict(list)
    left_out = 0
    for annotation in content["annotations"]:
        try:
            region = region_of(annotation, names[annotation["category_id"]])
        except DataError as error:
            raise DataError(f"annotation {annotation.get('id')}: {error}") from error
        left_out += region is None
        of_photo[annotation["image_id"]] += [region] if region else []
    photos = content["images"]
    if strangers := of_photo.keys() - {photo["id"] for photo in photos}:
        raise DataError(f"annotations are of image {min(strangers)}, which is not in images.")
    annotated = [
        Annotated(p["file_name"], (int(p["height"]), int(p["width"])), of_photo[p["id"]])
        for p in photos
    ]
    return annotated, list(dict.fromkeys(names.values())), left_out


def region_of(annotation: Mapping[str, Any], name: str) -> Region | None:
    """The region of an annotation; None without a segmentation."""
    segmentation, crowd = annotation.get("segmentation"), bool(annotation.get("iscrowd"))
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        counts = decompressed(counts) if isinstance(counts, str) else [int(c) for c in counts]
        fill, area = partial(fill_runs, counts, True), float(sum(counts[1::2]))
    else:
        polygons = [polygon_of(p) for p in segmentation or () if len(p) >= 6]
        if not polygons:
            return None
        fill, area = partial(fill_polygons, polygons), sum(map(area_of, polygons))
    return Region(name, fill, -np.inf if crowd else -area, crowd=crowd)


def area_of(polygon: np.ndarray) -> float:
    """Area of a polygon (N, 2)."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def decompressed(text: str) -> list[int]:
    """Counts from COCO's text: five bits a character from '0', least significant first.

    Bit 5 says that more follow, bit 4 of the last is the sign. From the fourth count on, it is the
    difference from the last but one.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise DataError(f"a run-length encoding has the character {character!r}.")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << 1 << (shift - 5)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
