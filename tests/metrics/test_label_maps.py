import pytest
import torch

from semsynth.metrics.label_maps import LABEL_MAPS, label_map, num_classes_of, relabel


def test_cityscapes_map_takes_the_35_classes_to_the_19_that_are_evaluated() -> None:
    table = LABEL_MAPS["cityscapes_ids_to_train_ids"]
    assert len(table) == 35
    assert num_classes_of(table) == 19
    names = {7: 0, 8: 1, 11: 2, 17: 5, 19: 6, 24: 11, 26: 13, 28: 15, 31: 16, 33: 18}
    assert {i: table[i] for i in names} == names  # road, sidewalk, building, pole, ..., bicycle
    assert [table[i] for i in (0, 3, 9, 16, 29, 30, 34)] == [255] * 7  # void, parking, caravan, ...
    assert sorted(t for t in table if t != 255) == list(range(19))


def test_face_parsing_map_is_the_permutation_to_the_official_order() -> None:
    table = LABEL_MAPS["face_parsing_to_celebamask_hq"]
    # background, skin, brows, eyes, glasses, ears, earring, nose, mouth, lips, neck, lace, ...
    expected = [0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14]
    assert list(table) == expected
    assert sorted(table) == list(range(19))


def test_relabel_follows_the_table_and_keeps_what_has_no_label() -> None:
    mask = torch.tensor([[0, 1, 2], [255, 2, 0]])
    assert relabel(mask, (5, 255, 0)).tolist() == [[5, 255, 0], [255, 0, 5]]
    assert relabel(torch.tensor([0, 7]), (1,), ignore_index=7).tolist() == [1, 255]


@pytest.mark.parametrize("value", [-1, 3, 300])
def test_class_that_is_not_in_the_table_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"has 3 classes.*class {value}..{value}"):
        relabel(torch.tensor([0, value]), (0, 1, 2))


@pytest.mark.parametrize("table", [(), (0, 256), (-1,)])
def test_table_with_impossible_entries_is_refused(table: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="0 to 254, or 255 for none"):
        label_map(table)
