from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semsynth.data.ade20k import ade20k_space
from semsynth.data.celebamask_hq import celebamask_space
from semsynth.data.cityscapes import EVALUATED, cityscapes_space
from semsynth.data.errors import DataError
from semsynth.data.gta5 import gta5_space
from semsynth.data.labels import LabelSpace, distinct_palette, official_space, read_classes

AB = LabelSpace(("a", "b"), ((0, 0, 0), (1, 1, 1)))


def test_palette_colours_are_distinct() -> None:
    assert len(set(distinct_palette(151))) == 151


def test_lookup_keeps_classes_and_unlabelled_pixels_and_refuses_the_rest() -> None:
    assert AB.lookup()[[0, 1, 2, 254, 255]].tolist() == [0, 1, -1, -1, 255]
    space = replace(AB, file_values=(255, 1, -1, 0))
    assert space.lookup()[[0, 1, 2, 3, 4, 255]].tolist() == [255, 1, -1, 0, -1, -1]


def test_label_space_needs_a_colour_and_an_evaluation_class_for_each_class() -> None:
    with pytest.raises(ValueError, match="2 names and 1 colours"):
        LabelSpace(("a", "b"), ((0, 0, 0),))
    with pytest.raises(ValueError, match="2 names and 1 evaluation classes"):
        replace(AB, evaluation=AB, evaluation_classes=(0,))


def test_flip_exchanges_the_pairs_and_nothing_else() -> None:
    table = replace(AB, flip_pairs=((0, 1),)).flip_lookup()
    assert table[[0, 1, 2, 255]].tolist() == [1, 0, 2, 255]


def test_unknown_is_one_more_class_that_is_not_evaluated() -> None:
    last, first = AB.with_unknown(), AB.with_unknown(first=True)
    assert (last.names, last.unknown) == (("a", "b", "unknown"), 2)
    assert (first.names, first.unknown) == (("unknown", "a", "b"), 0)
    assert last.to_evaluation(torch.tensor([0, 1, 2, 255])).tolist() == [0, 1, 255, 255]
    assert first.to_evaluation(torch.tensor([0, 1, 2, 255])).tolist() == [255, 0, 1, 255]


def test_mirrored_classes_stay_the_same_when_unknown_comes_first() -> None:
    space = replace(AB, flip_pairs=((0, 1),)).with_unknown(first=True)
    assert space.flip_pairs == ((1, 2),)


def test_masks_are_mapped_to_evaluation_classes_if_there_are_any() -> None:
    mask = torch.tensor([7, 0, 33, 255], dtype=torch.uint8)
    assert cityscapes_space("cityscapes-34").to_evaluation(mask).tolist() == [0, 255, 18, 255]
    assert AB.to_evaluation(mask) is mask


@pytest.mark.parametrize(
    ("name", "count", "known"),
    [
        ("ade20k", 150, {0: ("wall", (120, 120, 120)), 149: ("flag", (92, 0, 255))}),
        ("cityscapes", 34, {7: ("road", (128, 64, 128)), 33: ("bicycle", (119, 11, 32))}),
        ("celebamask_hq", 19, {3: ("eyeglasses", (204, 204, 0)), 18: ("cloth", (0, 204, 0))}),
        ("camvid", 11, {0: ("sky", (128, 128, 128)), 10: ("bicyclist", (0, 128, 192))}),
        ("ccp", 14, {0: ("background", (0, 0, 0)), 13: ("accessory", (170, 255, 195))}),
        ("deepfashion", 16, {0: ("background", (0, 0, 0)), 10: ("headwear", (127, 255, 212))}),
    ],
)
def test_official_names_and_colours(
    name: str, count: int, known: dict[int, tuple[str, tuple[int, int, int]]]
) -> None:
    space = official_space(name)
    assert space.num_classes == count
    assert len(set(space.names)) == count
    for label, entry in known.items():
        assert (space.names[label], space.palette[label]) == entry


def test_train_ids_of_cityscapes_are_the_official_ones() -> None:
    names = (
        "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,"
        "person,rider,car,truck,bus,train,motorcycle,bicycle"
    )
    # Caravan and trailer, 29 and 30, are the ids between bus and train that are not evaluated.
    assert (29 in EVALUATED, 30 in EVALUATED) == (False, False)
    assert cityscapes_space().names == tuple(names.split(","))


@pytest.mark.parametrize("name", ["cityscapes-34", "cityscapes-35"])
def test_every_cityscapes_space_is_evaluated_in_the_train_ids(name: str) -> None:
    space = cityscapes_space(name)  # type: ignore[arg-type]
    assert space.evaluation == cityscapes_space("cityscapes-19", "labelTrainIds")
    classes = torch.arange(space.num_classes)
    evaluated = space.to_evaluation(classes)
    assert evaluated[list(EVALUATED)].tolist() == list(range(19))
    assert (evaluated != 255).sum() == 19


def test_train_ids_are_read_from_label_ids_but_not_the_other_way_round() -> None:
    lookup = cityscapes_space("cityscapes-19", "labelIds").lookup()
    assert lookup[[0, 7, 8, 33, 34, 255]].tolist() == [255, 0, 1, 18, -1, -1]
    with pytest.raises(DataError, match="19 classes; cityscapes-34 needs label_files: labelIds"):
        cityscapes_space("cityscapes-34", "labelTrainIds")


def test_unknown_of_ade20k_is_not_evaluated() -> None:
    shifted, raw = ade20k_space("shifted"), ade20k_space("raw")
    assert shifted.to_evaluation(torch.tensor([0, 149, 150])).tolist() == [0, 149, 255]
    assert raw.to_evaluation(torch.tensor([0, 1, 150])).tolist() == [255, 0, 149]


def test_faces_exchange_what_has_a_side() -> None:
    space = celebamask_space()
    pairs = [(space.names[a], space.names[b]) for a, b in space.flip_pairs]
    assert pairs == [(f"left {part}", f"right {part}") for part in ("eye", "brow", "ear")]


def test_others_of_gta5_are_not_evaluated() -> None:
    space = gta5_space()
    assert space.names[19] == "others"
    assert space.lookup()[[0, 18, 19, 20, 255]].tolist() == [0, 18, 19, -1, 19]
    assert space.to_evaluation(torch.tensor([18, 19])).tolist() == [18, 255]


def test_classes_are_read_with_their_colours(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("traffic light #FAaa1e\n\nsky #4682b4\n")
    assert read_classes(file) == (("traffic light", "sky"), ((250, 170, 30), (70, 130, 180)))


@pytest.mark.parametrize("text", ["sky #4682b4\nroad\n", "\n"])
def test_incomplete_classes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"classes\.txt gives colours .* write one class per line"):
        read_classes(tmp_path / "classes.txt")
