import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import CelebAMaskHQ, DataError, Folder
from semsynth.data.celebamask_hq import ANNOTATIONS, MERGED, PARTS, PHOTOS
from semsynth.data.prepare import prepare
from tests.data.trees import write_pair


@pytest.fixture
def own(tmp_path: Path) -> Folder:
    """Two training samples and one to validate, of three classes; the third is in one only."""
    maps = {
        "train": [[[0, 0, 0, 1], [0, 0, 255, 255]], [[0, 1, 1, 1], [2, 2, 2, 2]]],
        "val": [[[1, 1, 1, 1], [1, 1, 1, 1]]],
    }
    for split, of_split in maps.items():
        for i, values in enumerate(of_split):
            write_pair(tmp_path / "own" / split, i, values)
    return Folder(str(tmp_path / "own"), 3)


def read_json(file: Path) -> Any:
    return json.loads(file.read_text())


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def test_statistics_are_those_counted_by_hand(own: Folder, tmp_path: Path) -> None:
    prepare(own, tmp_path / "out")
    stats = read_json(tmp_path / "out/stats.json")
    assert list(stats) == ["train", "val and test"]
    assert stats["train"] == {
        "num_samples": 2,
        "names": ["class 0", "class 1", "class 2"],
        "pixel_frequency": [6 / 14, 4 / 14, 4 / 14],
        "image_frequency": [1.0, 1.0, 0.5],
        "unlabelled": 2 / 16,
    }
    assert stats["val and test"]["image_frequency"] == [0.0, 1.0, 0.0]


def test_classes_hold_the_label_space(own: Folder, tmp_path: Path) -> None:
    prepare(own, tmp_path / "out")
    classes = read_json(tmp_path / "out/classes.json")
    assert classes["names"] == list(own.label_space.names)
    assert classes["palette"] == [list(colour) for colour in own.label_space.palette]
    assert classes["class_of_value"] == {"0": 0, "1": 1, "2": 2, "255": 255}


def test_manifest_lists_each_sample_once_with_its_splits(own: Folder, tmp_path: Path) -> None:
    prepare(own, tmp_path / "out")
    lines = [json.loads(x) for x in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert [(x["id"], x["split"]) for x in lines] == [
        ("0", ["train"]),
        ("1", ["train"]),
        ("0", ["val", "test"]),
    ]
    assert all((own.root / x["image"]).is_file() and x["size"] == [2, 4] for x in lines)


def test_dry_run_writes_nothing(own: Folder, tmp_path: Path) -> None:
    said: list[str] = []
    before = sorted(tmp_path.rglob("*"))
    prepare(own, tmp_path / "out", (100, 50), dry_run=True, say=said.append)
    assert sorted(tmp_path.rglob("*")) == before
    assert "train: 2 samples" in said
    assert any("100 x 50" in line for line in said)


class StopError(Exception):
    pass


def test_interrupted_scan_goes_on_where_it_was(
    own: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsynth.data import prepare as module
    from semsynth.data.check import scan as check

    read: list[str] = []

    def scan_pair(pair: Any, lookup: np.ndarray) -> Any:
        read.append(f"{pair.image.parent.parent.name}/{pair.name}")
        if read[-1] == stop_at:
            raise StopError
        return check.scan_pair(pair, lookup)

    monkeypatch.setattr(module, "scan_pair", scan_pair)
    stop_at = "train/1"
    with pytest.raises(StopError):
        prepare(own, tmp_path / "out", workers=1)
    assert names(tmp_path / "out") == [".scanned.jsonl"]
    with (tmp_path / "out/.scanned.jsonl").open("a") as opened:
        opened.write('\n["a line that was cut o')
    stop_at = ""
    prepare(own, tmp_path / "out", workers=1)
    assert read == ["train/0", "train/1", "train/1", "val/0"]
    first = read_json(tmp_path / "out/stats.json")
    prepare(own, tmp_path / "out", workers=1)
    assert len(read) == 4
    assert read_json(tmp_path / "out/stats.json") == first
    Image.new("L", (4, 2), 1).save(own.root / "train/labels/0.png")
    prepare(own, tmp_path / "out", workers=1)
    assert read[4:] == ["train/0"]
    assert read_json(tmp_path / "out/stats.json") != first


def test_output_that_cannot_be_written_is_named(own: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/out .*cannot be written to .*--output"):
        prepare(own, tmp_path / "file/out")


def write_faces(root: Path, count: int = 4) -> dict[int, np.ndarray]:
    """Faces with two or three parts, later ones over earlier; the label map of each."""
    merged = {}
    (root / PHOTOS).mkdir(parents=True)
    (root / ANNOTATIONS / "0").mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (16, 16)).save(root / PHOTOS / f"{i}.jpg")
        merged[i] = np.zeros((8, 8), np.uint8)
        for part, rows in (("skin", 6), ("hair", 2 + i), ("hat", i)):
            mask = np.zeros((8, 8), np.uint8)
            mask[:rows] = 255
            if rows:  # a part that is not seen has no file
                rgb = Image.fromarray(mask).convert("RGB")
                rgb.save(root / ANNOTATIONS / "0" / f"{i:05d}_{part}.png")
            merged[i][:rows] = PARTS.index(part) + 1
    return merged


def test_parts_of_faces_are_merged_in_the_official_order(tmp_path: Path) -> None:
    expected = write_faces(tmp_path)
    data = CelebAMaskHQ(str(tmp_path), split="index")
    report = prepare(data, tmp_path / "out")
    assert not report.problems
    assert names(tmp_path / MERGED) == [f"{i}.png" for i in expected]
    for i, values in expected.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / MERGED / f"{i}.png")), values)
    lines = (tmp_path / "out/manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == [f"{MERGED}/{i}.png" for i in expected]


def test_interrupted_merge_does_not_redo_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsynth.data import decode
    from semsynth.data import prepare as module

    expected = write_faces(tmp_path)
    merged: list[str] = []
    stop_at = "2"

    def read_labels(pair: Any) -> torch.Tensor:
        if pair.name == stop_at:
            raise StopError
        merged.append(pair.name)
        return decode.read_labels(pair)

    monkeypatch.setattr(module, "read_labels", read_labels)
    data = CelebAMaskHQ(str(tmp_path), split="index")
    with pytest.raises(StopError):
        prepare(data, tmp_path / "out", workers=1)
    assert not (tmp_path / MERGED).exists()
    stop_at = ""
    prepare(data, tmp_path / "out", workers=1)
    assert sorted(merged) == [str(i) for i in expected]  # each once
    assert names(tmp_path / MERGED) == [f"{i}.png" for i in expected]


def test_bad_part_is_named_and_nothing_is_taken_for_merged(tmp_path: Path) -> None:
    write_faces(tmp_path)
    bad = tmp_path / ANNOTATIONS / "0/00001_hair.png"
    bad.write_bytes(bad.read_bytes()[:40])
    report = prepare(CelebAMaskHQ(str(tmp_path), split="index"), tmp_path / "out")
    assert [problem.file for problem in report.problems] == [bad]
    assert not (tmp_path / MERGED).exists()
    assert not (tmp_path / "out/manifest.jsonl").exists()
