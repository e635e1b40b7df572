from pathlib import Path

import numpy as np
import pytest
import torch

from semsynth.data import Cityscapes, DataError
from semsynth.data.base import instance_edges
from semsynth.data.cityscapes import LabelFiles, SpaceName
from tests.data.trees import as_float, only_batch, write_map, write_photo

IDS = [[0, 4, 7, 7, 11, 24, 26, 26], [0, 4, 7, 8, 23, 33, 33, 26]]
TRAIN_IDS = [[255, 255, 0, 0, 2, 11, 13, 13], [255, 255, 0, 1, 10, 18, 18, 13]]
INSTANCES = [[0, 4, 7, 7, 11, 24000, 26000, 26000], [0, 4, 7, 8, 23, 33000, 33001, 26001]]
SIZE = (2, 8)


def write_frame(
    root: Path, split: str, name: str, dtype: str = "uint16", seed: int = 0
) -> np.ndarray:
    """Write the files of a frame under their official names."""
    city = name.partition("_")[0]
    base = root / "gtFine" / split / city / f"{name}_gtFine"
    write_map(base.with_name(f"{base.name}_labelIds.png"), IDS)
    write_map(base.with_name(f"{base.name}_labelTrainIds.png"), TRAIN_IDS)
    write_map(base.with_name(f"{base.name}_instanceIds.png"), INSTANCES, dtype)
    write_photo(base.with_name(f"{base.name}_color.png"), SIZE[::-1])
    base.with_name(f"{base.name}_polygons.json").write_text("{}")
    photo = root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
    return write_photo(photo, SIZE[::-1], seed)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_frame(tmp_path, "train", "aachen_000000_000019")
    write_frame(tmp_path, "train", "zurich_000001_000019", "int32", seed=1)
    write_frame(tmp_path, "val", "frankfurt_000000_000294", seed=2)
    write_frame(tmp_path, "test", "berlin_000000_000019", seed=3)
    return tmp_path


def cityscapes(
    root: Path,
    label_space: SpaceName = "cityscapes-34",
    label_files: LabelFiles = "labelIds",
    instances: bool = True,
) -> Cityscapes:
    return Cityscapes(
        str(root), label_space, label_files, instances, image_size=SIZE, flip=False, num_workers=0
    )


def test_hidden_files_are_no_frames(root: Path) -> None:
    (root / "leftImg8bit/val/frankfurt/._frankfurt_000000_000294_leftImg8bit.png").touch()
    assert cityscapes(root).names("val") == ["frankfurt_000000_000294"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cityscapes-34",), IDS),
        (("cityscapes-35",), IDS),
        (("cityscapes-19",), TRAIN_IDS),
        (("cityscapes-19", "labelTrainIds"), TRAIN_IDS),
    ],
)
def test_masks_hold_the_classes_of_the_space(
    root: Path,
    arguments: tuple[SpaceName] | tuple[SpaceName, LabelFiles],
    expected: list[list[int]],
) -> None:
    data = cityscapes(root, *arguments)
    batch = only_batch(data)
    assert batch["mask"].tolist() == [expected]
    assert data.label_space.to_evaluation(batch["mask"]).tolist() == [TRAIN_IDS]
    assert batch["name"] == ["frankfurt_000000_000294"]


def test_photos_are_read_as_they_are(root: Path) -> None:
    pixels = write_frame(root, "val", "frankfurt_000000_000294", seed=5)
    assert torch.equal(only_batch(cityscapes(root))["image"][0], as_float(pixels))


def test_instance_maps_of_16_and_32_bits_are_read_with_their_edges(root: Path) -> None:
    batch = only_batch(cityscapes(root), "train")
    instance = torch.tensor([INSTANCES, INSTANCES])
    assert torch.equal(batch["instance"], instance)
    assert torch.equal(batch["edge"], instance_edges(instance))


def test_instances_are_left_out_on_request(root: Path) -> None:
    (root / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_instanceIds.png").unlink()
    assert "instance" not in only_batch(cityscapes(root, instances=False))


def test_all_cities_are_listed_in_order_and_validation_is_tested(root: Path) -> None:
    data = cityscapes(root)
    assert data.names("train") == ["aachen_000000_000019", "zurich_000001_000019"]
    assert data.names("test") == data.names("val")


def test_void_of_35_channels_is_a_class(root: Path) -> None:
    assert cityscapes(root, "cityscapes-35").num_classes == 35
    assert cityscapes(root, "cityscapes-35").label_space.names[34] == "unknown"


def test_value_that_is_no_label_id_is_named(root: Path) -> None:
    file = root / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png"
    write_map(file, np.full(SIZE, 255))
    with pytest.raises(DataError, match=r"_labelIds\.png has the value 255.*expected 0 to 33"):
        cityscapes(root).setup("validate")


@pytest.mark.parametrize(
    ("gone", "files", "message"),
    [
        ("gtFine/val/*/*_labelIds.png", "labelIds", r"no _gtFine_labelIds\.png; .*labelTrainIds"),
        ("gtFine/val/*/*_instanceIds.png", "labelIds", "no instanceIds; .*instances: false"),
        ("leftImg8bit/val/*/*", "labelIds", r"labelIds\.png has no image: expected .*leftImg8bit"),
        ("gtFine/val/*/*_labelTrainIds.png", "labelTrainIds", "csCreateTrainIdLabelImgs"),
    ],
)
def test_missing_file_is_named_with_the_remedy(
    root: Path, gone: str, files: LabelFiles, message: str
) -> None:
    for file in root.glob(gone):
        file.unlink()
    space: SpaceName = "cityscapes-19" if files == "labelTrainIds" else "cityscapes-34"
    with pytest.raises(DataError, match=message):
        cityscapes(root, space, files).setup("validate")


def test_root_without_the_archives_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no directory .*leftImg8bit/train nor .*gtFine/train"):
        cityscapes(tmp_path).setup("fit")
