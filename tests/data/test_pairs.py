from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import DataError, Folder, MaskFolder


def write_image(path: Path, size: tuple[int, int] = (12, 10), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_mask(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four training and two validation pairs with three classes and unlabelled pixels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            write_image(root / split / "images" / f"{i}.png", seed=i)
            values = np.random.default_rng(i).integers(0, 3, (10, 12))
            values[0, 0] = 255
            write_mask(root / split / "labels" / f"{i}.png", values)
    return root


def folder(root: Path) -> Folder:
    return Folder(str(root), 3, image_size=(10, 12), flip=False, batch_size=2, num_workers=0)


def test_batch_holds_the_pixels_and_classes_on_disk(root: Path) -> None:
    data = folder(root)
    data.setup("validate")
    batch = next(iter(data.val_dataloader()))
    pixels = np.asarray(Image.open(root / "val/images/1.png")).transpose(2, 0, 1)
    mask = np.asarray(Image.open(root / "val/labels/1.png"))
    assert torch.equal(batch["image"][1], torch.from_numpy(pixels.copy()) / 127.5 - 1)
    assert torch.equal(batch["mask"][1], torch.from_numpy(mask.copy()).long())
    assert batch["name"] == ["0", "1"]
    assert batch["index"].tolist() == [0, 1]


def test_validation_is_tested_where_there_is_no_test_split(root: Path) -> None:
    data = folder(root)
    data.setup("test")
    assert len(data.test_dataloader().dataset) == 2  # type: ignore[arg-type]


def test_masks_alone_are_enough_to_predict(root: Path) -> None:
    data = MaskFolder(str(root / "val/labels"), folder(root))
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [name for batch in batches for name in batch["name"]] == ["0", "1"]
    assert batches[0]["mask"].shape[1:] == (10, 12)
    assert "image" not in batches[0]


def out_of_range(root: Path) -> None:
    write_mask(root / "train/labels/2.png", np.full((10, 12), 7))


def no_mask(root: Path) -> None:
    (root / "train/labels/1.png").unlink()


def no_image(root: Path) -> None:
    (root / "train/images/1.png").unlink()


def rgb_mask(root: Path) -> None:
    write_image(root / "train/labels/2.png")


def truncated_image(root: Path) -> None:
    file = root / "train/images/2.png"
    file.write_bytes(file.read_bytes()[:200])


def text_as_image(root: Path) -> None:
    (root / "train/images/2.png").write_text("not an image")


def text_as_mask(root: Path) -> None:
    (root / "train/labels/2.png").write_text("not a mask")


def empty_folder(root: Path) -> None:
    for file in (root / "train/images").iterdir():
        file.unlink()


def no_folder(root: Path) -> None:
    empty_folder(root)
    (root / "train/images").rmdir()


def other_shape(root: Path) -> None:
    write_mask(root / "train/labels/2.png", np.zeros((30, 12)))


def same_stem(root: Path) -> None:
    write_image(root / "train/images/2.jpg")


def link_to_nowhere(root: Path) -> None:
    file = root / "train/images/2.png"
    file.unlink()
    file.symlink_to(root / "gone.png")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (out_of_range, r"labels/2\.png holds the value 7.*expected 0 to 2 and 255.*Map it"),
        (no_mask, r"images/1\.png has no mask: expected .*labels/1"),
        (no_image, r"labels/1\.png has no image: expected .*images/1"),
        (rgb_mask, r"labels/2\.png is a colour image \(mode RGB\).*Convert"),
        (truncated_image, r"images/2\.png cannot be read .*replace or remove"),
        (text_as_image, r"images/2\.png cannot be read .*replace or remove"),
        (text_as_mask, r"labels/2\.png cannot be read .*replace or remove"),
        (empty_folder, r"train/images holds no image; expected files"),
        (no_folder, r"no directory .*train/images; check the root"),
        (other_shape, r"labels/2\.png is 12x30 and its image is 12x10"),
        (same_stem, r"2\.(png|jpg) have the same stem|the same stem; remove one"),
        (link_to_nowhere, r"images/2\.png cannot be read .*No such file"),
    ],
)
def test_damage_is_named_with_file_value_and_remedy(
    root: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(root)
    with pytest.raises(DataError, match=message):
        folder(root).setup("fit")


def test_all_damage_is_listed_at_once(root: Path) -> None:
    out_of_range(root)
    write_mask(root / "train/labels/3.png", np.full((10, 12), 9))
    with pytest.raises(DataError, match=r"2 of 4 samples are bad") as error:
        folder(root).setup("fit")
    assert "labels/2.png" in str(error.value)
    assert "labels/3.png" in str(error.value)


def test_damage_that_comes_after_a_good_check_is_found(root: Path) -> None:
    folder(root).setup("fit")
    out_of_range(root)
    with pytest.raises(DataError, match="holds the value 7"):
        folder(root).setup("fit")


def test_bad_mask_to_predict_from_is_named(root: Path) -> None:
    write_mask(root / "val/labels/1.png", np.full((10, 12), 99))
    with pytest.raises(DataError, match=r"labels/1\.png holds the value 99"):
        MaskFolder(str(root / "val/labels"), folder(root)).setup("predict")


def test_class_names_must_agree_with_their_number(root: Path) -> None:
    (root / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(DataError, match="names 2 classes and num_classes is 3"):
        folder(root)
