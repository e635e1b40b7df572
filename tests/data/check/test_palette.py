from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data import ADE20K, Cityscapes, LabelSpace
from semsynth.data.check.palette import convert, convert_colour_masks, values_of_colours
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import Problem

SPACE = LabelSpace(("sky", "road", "grey"), ((70, 130, 180), (128, 64, 128), (2, 2, 2)))
LOOKUP = SPACE.lookup()


def write(path: Path, colours: list[tuple[int, int, int]]) -> Path:
    Image.fromarray(np.array([colours], np.uint8)).save(path)
    return path


@pytest.mark.parametrize("order", ["shifted", "raw"])
def test_colours_become_values_on_disk_and_not_classes(order: str) -> None:
    data = ADE20K("nowhere", label_order=order)  # type: ignore[arg-type]
    colours = dict(zip(data.label_space.names, data.label_space.palette, strict=True))
    values = values_of_colours(data.label_space, data.lookup())
    assert values[colours["unknown"]] == 0
    assert values[colours["wall"]] == 1
    assert values[colours["flag"]] == 150


def test_first_of_the_classes_that_share_a_colour_has_it() -> None:
    data: PairsOnDisk = Cityscapes("nowhere")
    values = values_of_colours(data.label_space, data.lookup())
    assert values[0, 0, 0] == 0  # unlabeled, and not ego vehicle
    assert values[128, 64, 128] == 7


def test_black_has_no_label_where_no_class_is_black(tmp_path: Path) -> None:
    file = write(tmp_path / "a.png", [(0, 0, 0), (128, 64, 128), (70, 130, 180), (2, 2, 2)])
    convert(file, values_of_colours(SPACE, LOOKUP))
    with Image.open(file) as opened:
        assert np.asarray(opened).tolist() == [[255, 1, 0, 2]]


def test_colours_of_an_earlier_conversion_are_not_overwritten(tmp_path: Path) -> None:
    file = write(tmp_path / "a.png", [(70, 130, 180)])
    backup = tmp_path / "a.png.colour"
    backup.write_bytes(b"earlier")
    convert(file, values_of_colours(SPACE, LOOKUP))
    assert backup.read_bytes() == b"earlier"


def test_label_map_in_colour_of_another_format_becomes_png(tmp_path: Path) -> None:
    file = write(tmp_path / "a.bmp", [(70, 130, 180), (128, 64, 128)])
    convert(file, values_of_colours(SPACE, LOOKUP))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bmp.colour", "a.png"]


def test_map_of_one_grey_colour_is_converted_and_one_of_bad_indices_is_not(tmp_path: Path) -> None:
    space = LabelSpace(("building",), ((70, 70, 70),))
    grey = write(tmp_path / "rgb.png", [(70, 70, 70)])
    index = tmp_path / "index.png"
    Image.fromarray(np.array([[70]], np.uint8)).save(index)
    problems = [Problem("value without a class", file, "") for file in (grey, index)]
    converted, failed = convert_colour_masks(problems, space, space.lookup())
    assert (converted, failed) == ([grey], [])
    with Image.open(grey) as opened:
        assert np.asarray(opened).tolist() == [[0]]
