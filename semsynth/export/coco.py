"""Label maps as COCO's JSON: a box and a run-length encoding of each instance.

Instances are those of the instance map, where 0 is a crowd, else connected components of a class.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from semsynth.data.decode import read_mask
from semsynth.data.labels import LabelSpace
from semsynth.data.pairs import find_pairs
from semsynth.files import write_text

NEIGHBOURS = np.ones((3, 3), int)  # of a pixel in a connected component, diagonal ones too


def write_coco(folder: Path, file: Path, space: LabelSpace) -> None:
    """Write the annotations of ``FOLDER/{images,labels}``, and ``instances`` if there are any.

    Category ids are classes from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, pair in enumerate(find_pairs(folder / "images", folder / "labels"), start=1):
        assert pair.image is not None
        mask = read_mask(pair.labels[0]).numpy()
        H, W = mask.shape
        images.append({"id": i, "file_name": pair.image.name, "height": H, "width": W})
        ids = folder / "instances" / f"{pair.name}.png"
        instance = read_mask(ids).numpy() if ids.is_file() else None
        for annotation in annotations_of(mask, instance, space.num_classes):
            annotations.append({"id": len(annotations) + 1, "image_id": i} | annotation)
    categories = [{"id": c, "name": name} for c, name in enumerate(space.names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_text(file, json.dumps(content))


def annotations_of(
    mask: np.ndarray, instance: np.ndarray | None, num_classes: int
) -> list[dict[str, Any]]:
    """Annotations of a label map (H, W), by its instance map (H, W) or by connected components."""
    parts = (
        (c, *part)
        for c in np.unique(mask[mask < num_classes]).tolist()
        for part in instances_of(mask == c, instance)
    )
    return [annotation_of(inside, c, crowd) for c, inside, crowd in parts]


def instances_of(
    inside: np.ndarray, instance: np.ndarray | None
) -> Iterator[tuple[np.ndarray, bool]]:
    """Pixels (H, W), bool, of each instance of a class, and whether it is a crowd."""
    if instance is None:
        instance = ndimage.label(inside, NEIGHBOURS)[0]
    for i in np.unique(instance[inside]).tolist():
        yield inside & (instance == i), i == 0


def annotation_of(inside: np.ndarray, category: int, crowd: bool) -> dict[str, Any]:
    """The annotation of an instance by its pixels (H, W), bool."""
    (rows, columns), size = ndimage.find_objects(inside.astype(int))[0], list(inside.shape)
    box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
    return {
        "category_id": category + 1,
        "iscrowd": int(crowd),
        "area": int(inside.sum()),
        "bbox": box,
        "segmentation": {"size": size, "counts": runs_of(inside)},
    }


def runs_of(inside: np.ndarray) -> Sequence[int]:
    """Lengths of the runs outside and inside, in turn, of pixels (H, W), column by column."""
    flat = np.concatenate([[False], inside.T.ravel()])  # the first run is outside
    ends = np.flatnonzero(np.diff(flat))
    counts: list[int] = np.diff([0, *ends, inside.size]).tolist()
    return counts
