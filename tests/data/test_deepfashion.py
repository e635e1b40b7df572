from pathlib import Path

import pytest

from semsynth.data import DataError, DeepFashion
from tests.data.trees import only_batch, write_map, write_photo

NAME = "id_00000002_02_1_front"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        write_photo(tmp_path / split / f"{NAME}.jpg", (4, 4))
        write_map(tmp_path / split / f"{NAME}_label.png", [[0, 1, 7, 15]] * 4)
    return tmp_path


def test_label_map_lies_beside_its_photo(root: Path) -> None:
    batch = only_batch(DeepFashion(str(root), image_size=(4, 4), flip=False, num_workers=0))
    assert batch["name"] == [NAME]
    assert batch["mask"].tolist() == [[[0, 1, 7, 15]] * 4]


def test_class_above_15_is_refused(root: Path) -> None:
    write_map(root / "test" / f"{NAME}_label.png", [[16] * 4] * 4)
    with pytest.raises(DataError, match=r"front_label\.png has the value 16"):
        DeepFashion(str(root)).setup("validate")


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (f"{NAME}.jpg", rf"{NAME}_label\.png has no image: expected .*{NAME}\.jpg"),
        (f"{NAME}_label.png", rf"{NAME}\.jpg has no mask: expected .*{NAME}_label\.png"),
    ],
)
def test_missing_file_is_named(root: Path, gone: str, message: str) -> None:
    write_photo(root / "test/other.jpg")
    write_map(root / "test/other_label.png", [[0]])
    (root / "test" / gone).unlink()
    with pytest.raises(DataError, match=message):
        DeepFashion(str(root)).setup("validate")
