import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semsynth.data.annotations import convert
from semsynth.data.labels import LabelSpace, distinct_palette
from semsynth.export.coco import annotations_of, write_coco
from tests.data.trees import write_map, write_pair

SPACE = LabelSpace(("sky", "hill", "car"), distinct_palette(3))


def folder_of_blobs(place: Path, instances: bool = False) -> Path:
    """Two label maps of blobs and unlabelled pixels."""
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = rng.choice([0, 1, 2, 255], (7, 9))
        mask = np.kron(coarse, np.ones((3, 2), int)).astype(np.uint8)
        write_pair(place / "train", name, mask)
        if instances:
            ids = np.asarray(rng.integers(0, 300, mask.shape))
            write_map(place / f"train/instances/{name}.png", ids, "uint16")
    return place / "train"


@pytest.mark.parametrize("instances", [True, False])
def test_masks_to_coco_to_masks_are_the_same(instances: bool, tmp_path: Path) -> None:
    folder = folder_of_blobs(tmp_path, instances)
    write_coco(folder, tmp_path / "train.json", SPACE)
    convert("coco", tmp_path / "train.json", folder / "images", tmp_path / "out", (1, 0, 0))
    for name in "ab":
        before, after = (
            np.asarray(Image.open(root / "labels" / f"{name}.png"))
            for root in (folder, tmp_path / "out/train")
        )
        assert np.array_equal(before, after)
    write_coco(tmp_path / "out/train", tmp_path / "again.json", SPACE)
    first, second = (
        sorted(json.dumps(a | {"id": 0}) for a in json.loads(file.read_text())["annotations"])
        for file in (tmp_path / "train.json", tmp_path / "again.json")
    )
    assert first == second


def test_connected_components_have_boxes_and_areas() -> None:
    mask = np.full((4, 6), 255)
    mask[0, :2] = mask[1, 2] = 1  # touch by a corner
    mask[3, 4:] = 1
    one, two = annotations_of(mask, None, 2)
    assert one["bbox"] == [0, 0, 3, 2]
    assert two == {
        "category_id": 2,
        "iscrowd": 0,
        "area": 2,
        "bbox": [4, 3, 2, 1],
        "segmentation": {"size": [4, 6], "counts": [19, 1, 3, 1]},
    }


def test_pixels_without_an_instance_are_a_crowd() -> None:
    mask = np.zeros((1, 4), int)
    found = annotations_of(mask, np.array([[0, 300, 300, 0]]), 1)
    assert [(a["iscrowd"], a["area"]) for a in found] == [(1, 2), (0, 2)]


def test_pycocotools_reads_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco: Any = pytest.importorskip("pycocotools.coco")
    folder = folder_of_blobs(tmp_path)
    write_coco(folder, tmp_path / "train.json", SPACE)
    data = coco.COCO(str(tmp_path / "train.json"))
    assert [c["name"] for c in data.loadCats(data.getCatIds())] == list(SPACE.names)
    for image in data.loadImgs(data.getImgIds()):
        mask = np.asarray(Image.open(folder / "labels" / image["file_name"]))
        painted = np.full(mask.shape, 255)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=image["id"])):
            inside = data.annToMask(annotation).astype(bool)
            assert annotation["area"] == inside.sum()
            rows, columns = np.nonzero(inside)
            x, y, w, h = annotation["bbox"]
            assert (x, y, x + w, y + h) == (
                columns.min(),
                rows.min(),
                columns.max() + 1,
                rows.max() + 1,
            )
            painted[inside] = annotation["category_id"] - 1
        assert np.array_equal(painted, mask)
