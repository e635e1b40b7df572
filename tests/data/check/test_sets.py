from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data import DataError, Folder
from semsynth.data.check.palette import convert_colour_masks
from semsynth.data.check.splits import check_data
from tests.data.trees import write_pair


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 255]], r"holds one of 2 classes, 0, .*unlabelled \(255\).*--map 255=1"),
        ([[1, 255]], r"holds one of 2 classes, 1, .*--map 255=0"),
        ([[255, 255]], r"has no label: all pixels are unlabelled"),
    ],
)
def test_training_split_that_cannot_teach_classes_is_refused(
    tmp_path: Path, values: list[list[int]], message: str
) -> None:
    for split in ("train", "val"):
        write_pair(tmp_path / split, "a", values)
    (problem,) = check_data(Folder(str(tmp_path), 2)).problems
    assert problem.kind == "no label"
    with pytest.raises(DataError, match=message):
        Folder(str(tmp_path), 2).setup("fit")
    Folder(str(tmp_path), 2).setup("validate")  # a score may ignore what it likes


@pytest.mark.parametrize(
    ("maps", "num_classes"), [([[0, 255]], 1), ([[0, 0]], 2), ([[0, 255], [1, 255]], 2)]
)
def test_training_split_with_enough_classes_is_not(
    tmp_path: Path, maps: list[list[int]], num_classes: int
) -> None:
    for i, values in enumerate(maps):
        write_pair(tmp_path / "train", i, [values])
    assert check_data(Folder(str(tmp_path), num_classes)).problems == []


def write_palette(file: Path, values: list[int], colours: dict[int, tuple[int, int, int]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array([values], np.uint8))
    image.putpalette([c for value in range(4) for c in colours.get(value, (0, 0, 0))])
    image.save(file)


def test_images_in_a_folder_below_are_a_warning(tmp_path: Path) -> None:
    write_pair(tmp_path / "train", "a", [[0, 1]])
    write_pair(tmp_path / "train/images", "b", [[0, 1]])
    report = check_data(Folder(str(tmp_path), 2))
    found = sorted((w.kind, w.file.name) for w in report.warnings)
    assert found == [("nested images", "images"), ("nested images", "labels")]


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_colours_with_other_values_in_another_file_are_found_and_matched(tmp_path: Path) -> None:
    for name in "ab":
        write_pair(tmp_path / "train", name, [[0, 1]])
    labels = tmp_path / "train/labels"
    write_palette(labels / "a.png", [0, 1], {1: RED})
    write_palette(labels / "b.png", [0, 2], {1: BLUE, 2: BLUE})
    (tmp_path / "classes.txt").write_text("none #000000\nred #ff0000\nblue #0000ff\n")
    data = Folder(str(tmp_path), 3)
    assert check_data(data).problems == []  # red is 1 in both, as far as the pixels tell
    write_palette(labels / "b.png", [0, 1, 2], {1: BLUE, 2: RED})
    problems = check_data(data).problems
    assert [(p.kind, p.file.name) for p in problems] == [
        ("palettes differ", "a.png"),
        ("palettes differ", "b.png"),
    ]
    assert "(255, 0, 0) is 1 in a.png and 2 in b.png" in problems[0].message
    convert_colour_masks(problems, data.label_space, data.lookup())
    assert np.asarray(Image.open(labels / "b.png")).tolist() == [[0, 2, 1]]
    assert check_data(Folder(str(tmp_path), 3)).problems == []
