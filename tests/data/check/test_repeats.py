from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data import Folder
from semsynth.data.check import repeats
from semsynth.data.check.repeats import repeated_photos
from semsynth.data.check.splits import check_data
from tests.data.trees import write_pair

VALUES = [[0] * 16 + [1] * 16] * 32


def smooth(seed: int) -> Image.Image:
    """A photo that survives resizing, as real ones do."""
    pixels = np.random.default_rng(seed).integers(40, 200, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def write(root: Path, file: str, photo: Image.Image) -> Path:
    split, name = file.split("/")
    write_pair(root / split, Path(name).stem, VALUES)
    (root / split / "images" / f"{Path(name).stem}.png").unlink()
    target = root / split / "images" / name
    photo.save(target)
    return target


def test_copies_are_found_in_two_splits_and_in_one_and_other_photos_are_not(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path, f"train/{i}.png", smooth(i))
    write(tmp_path, "train/same.png", smooth(3))
    write(tmp_path, "val/small.jpg", smooth(4).resize((32, 32)))
    write(tmp_path, "val/bright.jpg", smooth(5).point(lambda v: int(v * 1.1) + 10))
    write(
        tmp_path, "val/sixteen.tif", Image.fromarray(np.array(smooth(0).convert("L"), "u2") * 257)
    )
    write(tmp_path, "val/other.png", smooth(9))
    for name in "ab":  # flat photos have nothing in common that could be measured
        write(tmp_path, f"val/{name}.png", Image.new("RGB", (64, 64), (9, 9, 9)))
    found = repeated_photos(check_data(Folder(str(tmp_path), 2)).splits)
    assert {(problem.kind, problem.file.name) for problem in found} == {
        ("photo twice in a split", "same.png"),
        ("photo in two splits", "small.jpg"),
        ("photo in two splits", "bright.jpg"),
        ("photo in two splits", "sixteen.tif"),
    }
    assert all("train/images/" in problem.message for problem in found)


def test_rows_are_compared_with_all_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = np.random.default_rng(0).normal(size=(7, 256))
    photos[5] = photos[1]
    photos[6] = photos[3]
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    monkeypatch.setattr(repeats, "ROWS", 2)
    assert [(i, j) for i, j, _ in repeats._similar(photos)] == [(1, 5), (3, 6)]
