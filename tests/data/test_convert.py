from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import DataError, Folder
from semsynth.data.convert import convert, mapped, parse_value_map
from tests.data.trees import only_batch, write_pair


def test_rules_map_values_and_runs() -> None:
    assert parse_value_map(["255=1"]) == {255: 1}
    assert parse_value_map(["0=255", "1..3=0..2"]) == {0: 255, 1: 0, 2: 1, 3: 2}
    assert parse_value_map(["4..6=9"]) == {4: 9, 5: 9, 6: 9}


@pytest.mark.parametrize("rule", ["255", "a=1", "3..1=0..2", "1..3=0..9", "1=256", "1=-1"])
def test_rule_that_maps_nothing_is_refused(rule: str) -> None:
    with pytest.raises(DataError, match="is not VALUE=CLASS"):
        parse_value_map([rule])


def test_values_without_a_rule_stay() -> None:
    mask = torch.tensor([[0, 65535], [7, 0]])
    assert mapped(mask, {65535: 1, 0: 255}).tolist() == [[255, 1], [7, 255]]
    with pytest.raises(DataError, match="65535 needs a rule"):
        mapped(mask, {})


def test_map_of_0_and_255_becomes_two_classes_beside_the_same_photo(tmp_path: Path) -> None:
    root = tmp_path / "own"
    for split in ("train", "val"):
        write_pair(root / split, "a", [[0, 255, 255]])
    (root / "classes.txt").write_text("membrane\ncell\n")
    assert convert(Folder(str(root), 2), tmp_path / "new", {255: 1}) == []
    data = Folder(str(tmp_path / "new"), 2, image_size=(1, 3), flip=False, num_workers=0)
    assert data.label_space.names == ("membrane", "cell")
    assert only_batch(data, "train")["mask"].tolist() == [[[0, 1, 1]]]
    old, new = (folder / "train/images/a.png" for folder in (root, tmp_path / "new"))
    assert old.read_bytes() == new.read_bytes()
    assert np.asarray(Image.open(root / "train/labels/a.png")).tolist() == [[0, 255, 255]]
    with pytest.raises(DataError, match=r"new/train already exists"):
        convert(Folder(str(root), 2), tmp_path / "new", {})
