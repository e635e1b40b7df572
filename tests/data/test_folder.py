from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import DataError, FewShotFolder, Folder, MaskFolder
from tests.data.trees import as_float, only_batch, write_map, write_pair


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four training and two validation pairs with three classes and unlabelled pixels."""
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            values = np.random.default_rng(i).integers(0, 3, (10, 12))
            values[0, 0] = 255
            write_pair(tmp_path / split, i, values, seed=i)
    return tmp_path


def folder(root: Path) -> Folder:
    return Folder(str(root), 3, image_size=(10, 12), flip=False, batch_size=2, num_workers=0)


def test_batch_holds_the_pixels_and_classes_on_disk(root: Path) -> None:
    batch = only_batch(folder(root))
    pixels = np.asarray(Image.open(root / "val/images/1.png"))
    mask = np.asarray(Image.open(root / "val/labels/1.png"))
    assert torch.equal(batch["image"][1], as_float(pixels))
    assert torch.equal(batch["mask"][1], torch.from_numpy(mask.copy()).long())
    assert batch["name"] == ["0", "1"]
    assert batch["index"].tolist() == [0, 1]


def test_validation_is_tested_where_there_is_no_test_split(root: Path) -> None:
    assert len(only_batch(folder(root), "test")["index"]) == 2


def test_masks_alone_are_enough_to_predict(root: Path) -> None:
    data = MaskFolder(str(root / "val/labels"), folder(root))
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [name for batch in batches for name in batch["name"]] == ["0", "1"]
    assert batches[0]["mask"].shape[1:] == (10, 12)
    assert "image" not in batches[0]


def test_bad_mask_to_predict_from_is_named(root: Path) -> None:
    write_map(root / "val/labels/1.png", np.full((10, 12), 99))
    with pytest.raises(DataError, match=r"labels/1\.png has the value 99"):
        MaskFolder(str(root / "val/labels"), folder(root)).setup("predict")


def test_classes_may_have_names_and_colours(root: Path) -> None:
    (root / "classes.txt").write_text("sky #4682b4\nroad #804080\nold tree #6b8e23\n")
    space = folder(root).label_space
    assert space.names == ("sky", "road", "old tree")
    assert space.palette[1] == (128, 64, 128)


def test_number_of_classes_is_that_of_the_file(root: Path) -> None:
    with pytest.raises(
        DataError, match=r"no .*classes\.txt to name the classes.* --data\.num_classes N"
    ):
        Folder(str(root))
    (root / "classes.txt").write_text("sky\nroad\ntree\n")
    assert Folder(str(root)).num_classes == 3
    assert FewShotFolder(str(root)).num_classes == 3
    assert FewShotFolder(str(root), labels="sparse").label_space.names == (
        "unknown",
        "road",
        "tree",
    )
