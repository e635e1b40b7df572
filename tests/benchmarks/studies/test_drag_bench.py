import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.studies.drag_bench import Sample, marks_of, read_samples
from semsynth.errors import UserError

POINTS = [[4, 2], [8, 2], [30, 10], [30, 14]]


def write_photo(folder: Path) -> np.ndarray:
    folder.mkdir(parents=True)
    Image.new("RGB", (40, 20), (9, 8, 7)).save(folder / "original_image.png")
    mask = np.zeros((20, 40), np.uint8)
    mask[:, :16] = 1
    return mask


def test_both_kinds_of_folders_say_the_same(tmp_path: Path) -> None:
    mask = write_photo(tmp_path / "animals" / "a")
    meta = {"prompt": "a cat", "points": POINTS, "mask": mask}
    (tmp_path / "animals" / "a" / "meta_data.pkl").write_bytes(pickle.dumps(meta))
    mask = write_photo(tmp_path / "b")
    (tmp_path / "b" / "points.json").write_text(json.dumps(POINTS))
    Image.fromarray(255 * mask).save(tmp_path / "b" / "mask.png")
    first, second = read_samples(tmp_path)
    assert (first.name, second.name) == ("animals/a", "b")
    for key in ("photo", "points", "mask"):
        assert torch.equal(getattr(first, key), getattr(second, key))
    assert first.points.tolist() == [[[4, 2], [8, 2]], [[30, 10], [30, 14]]]
    assert first.mask[:, :16].all()
    assert not first.mask[:, 16:].any()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_pickle_of_anything_but_arrays_is_refused(tmp_path: Path) -> None:
    write_photo(tmp_path / "a")
    (tmp_path / "a" / "meta_data.pkl").write_bytes(pickle.dumps({"points": Evil()}))
    with pytest.raises(UserError, match=r"meta_data\.pkl cannot be read: it names \w+\.system"):
        list(read_samples(tmp_path))


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder with original_image\.png"):
        list(read_samples(tmp_path))
    mask = write_photo(tmp_path / "a")
    Image.fromarray(mask[:5]).save(tmp_path / "a" / "mask.png")
    (tmp_path / "a" / "points.json").write_text(json.dumps(POINTS))
    with pytest.raises(UserError, match=r"photo's size \(20, 40\), got \(5, 40\)"):
        list(read_samples(tmp_path))
    (tmp_path / "a" / "points.json").write_text(json.dumps(POINTS[:3]))
    with pytest.raises(UserError, match="each before its target"):
        list(read_samples(tmp_path))


def test_points_are_scaled_to_the_canvas() -> None:
    points = torch.tensor([[[19.5, 9.5], [29.5, 9.5]]])  # from the centre of 40 x 20 to the right
    sample = Sample("a", torch.zeros(3, 20, 40), points, torch.ones(20, 40, dtype=torch.bool))
    (mark,) = marks_of(sample, 64)
    assert (mark.x, mark.y, mark.dx, mark.dy) == pytest.approx((31.5, 31.5, 16, 0))
