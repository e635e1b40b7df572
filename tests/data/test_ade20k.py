from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import ADE20K, DataError
from semsynth.data.ade20k import LabelOrder
from tests.data.trees import only_batch, write_map

VALUES = [[0, 1, 2, 150]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, prefix in (("training", "train"), ("validation", "val")):
        write_map(tmp_path / f"annotations/{folder}/ADE_{prefix}_00000001.png", VALUES)
        image = tmp_path / f"images/{folder}/ADE_{prefix}_00000001.jpg"
        image.parent.mkdir(parents=True)
        Image.fromarray(np.full((1, 4), 90, dtype=np.uint8)).save(image)  # a grey photo
    return tmp_path


def ade20k(root: Path, label_order: LabelOrder = "shifted") -> ADE20K:
    return ADE20K(
        str(root), label_order, image_size=(1, 4), load_size=None, flip=False, num_workers=0
    )


@pytest.mark.parametrize(("order", "classes"), [("shifted", [150, 0, 1, 149]), ("raw", VALUES[0])])
def test_unknown_is_the_last_class_or_keeps_its_value(
    root: Path, order: LabelOrder, classes: list[int]
) -> None:
    assert only_batch(ade20k(root, order))["mask"].flatten().tolist() == classes


def test_class_names_follow_the_order(root: Path) -> None:
    shifted, raw = ade20k(root).label_space, ade20k(root, "raw").label_space
    assert shifted.num_classes == raw.num_classes == 151
    assert (shifted.names[0], shifted.names[150]) == ("wall", "unknown")
    assert (raw.names[0], raw.names[1]) == ("unknown", "wall")


def test_grey_photos_become_colour(root: Path) -> None:
    image = only_batch(ade20k(root), "train")["image"]
    assert image.shape == (1, 3, 1, 4)
    assert torch.allclose(image, torch.tensor(90 / 127.5 - 1), atol=0.02)


def test_values_above_150_are_refused(root: Path) -> None:
    write_map(root / "annotations/validation/ADE_val_00000001.png", [[0, 1, 151, 255]])
    with pytest.raises(DataError, match=r"ADE_val_00000001\.png has the value 151.*0 to 150"):
        ade20k(root).setup("validate")
