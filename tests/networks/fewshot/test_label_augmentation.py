from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.fewshot.label_augmentation import (
    augment_labels,
    cut_out,
    dilate,
    displace,
    drop_classes,
)
from tests.helpers.checks import assert_compiles

K = 6
STILL: dict[str, Any] = {"jitter": 0.0, "shift": 0.0}
SPARSE: dict[str, Any] = {"dilation": 2, "class_dropout": 0.3, "hole": 0.5}


def scribbles(batch_size: int = 4, size: int = 16) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(K, (batch_size, size, size), generator=draw)
    return labels * (torch.rand(labels.shape, generator=draw) < 0.2)


@pytest.mark.parametrize("changes", [{}, SPARSE])
@pytest.mark.parametrize("size", [None, 64])
def test_labels_depend_on_their_own_seed_alone(changes: dict[str, Any], size: int | None) -> None:
    labels, seed = scribbles(), torch.tensor([3, 1, 4, 1])
    result = augment_labels(labels, seed, K, size, **changes)
    for i in range(4):
        alone = augment_labels(labels[i : i + 1], seed[i : i + 1], K, size, **changes)
        assert torch.equal(alone, result[i : i + 1])
    other = augment_labels(labels, seed + 1, K, size, **changes)
    assert not torch.equal(other, result)


@pytest.mark.parametrize("changes", [{}, SPARSE])
def test_no_class_appears_that_was_not_there(changes: dict[str, Any]) -> None:
    labels = scribbles().masked_fill(scribbles() == 2, 3)
    for i in range(4):
        result = augment_labels(labels[i : i + 1], torch.tensor([i]), K, 64, **changes)
        assert set(result.unique().tolist()) <= {0, *labels[i].unique().tolist()}


def test_dense_labels_keep_their_values_and_most_of_their_pixels() -> None:
    blocks = torch.randint(1, K, (8, 8, 8)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    result = augment_labels(blocks, torch.arange(8), K)
    assert result.min() > 0
    assert 0.5 < (result == blocks).double().mean() < 0.99


@pytest.mark.parametrize("size", [None, 16, 32, 64])
def test_without_any_change_labels_are_enlarged_by_nearest(size: int | None) -> None:
    labels = scribbles()
    result = augment_labels(labels, torch.arange(4), K, size, **STILL)
    expected = F.interpolate(labels[:, None].double(), size or 16)[:, 0].long()
    assert torch.equal(result, expected)


def test_displacement_takes_pixels_from_where_it_points() -> None:
    labels = torch.arange(16).view(1, 4, 4)
    result = displace(labels, torch.tensor([[1.0, -2.0]]), torch.zeros(1, 2, 3, 3), None)
    expected = torch.tensor([[4, 4, 4, 5], [8, 8, 8, 9], [12, 12, 12, 13], [12, 12, 12, 13]])
    assert torch.equal(result[0], expected)


def test_jitter_moves_boundaries_by_less_than_a_cell_differently_along_them() -> None:
    halves = torch.zeros(1, 16, 16, dtype=torch.long)
    halves[:, :, 8:] = 1
    result = augment_labels(halves, torch.tensor([5]), K, 64, jitter=0.3, shift=0.0)
    columns = 64 - result[0].sum(1)  # where each row changes
    assert columns.unique().numel() > 2
    assert (columns - 32).abs().max() < 8


def test_dropout_takes_whole_classes_of_single_maps() -> None:
    labels = scribbles(2)
    dropped = torch.zeros(2, K, dtype=torch.bool)
    dropped[0, 3] = dropped[1, 5] = True
    result = drop_classes(labels, dropped)
    assert torch.equal(result[0], labels[0].masked_fill(labels[0] == 3, 0))
    assert torch.equal(result[1], labels[1].masked_fill(labels[1] == 5, 0))


def test_share_of_dropped_classes_is_the_probability() -> None:
    labels = torch.arange(K).expand(2000, 1, K)
    result = augment_labels(labels, torch.arange(2000), K, **STILL, class_dropout=0.3)
    assert abs(float((result[:, 0, 1:] == 0).double().mean()) - 0.3) < 0.02


def test_dilation_grows_each_mark_by_the_pixels_of_its_map() -> None:
    labels = torch.zeros(3, 9, 9, dtype=torch.long)
    labels[:, 4, 4] = 2
    result = dilate(labels, torch.tensor([0, 1, 2]), 2)
    for i in range(3):
        expected = torch.zeros(9, 9, dtype=torch.long)
        expected[4 - i : 5 + i, 4 - i : 5 + i] = 2
        assert torch.equal(result[i], expected)


def test_dilation_overwrites_no_mark() -> None:
    labels = scribbles()
    result = dilate(labels, torch.full((4,), 2), 2)
    assert torch.equal(result[labels > 0], labels[labels > 0])
    assert (result > 0).sum() > (labels > 0).sum()


def test_hole_is_the_rectangle_of_the_chosen_maps() -> None:
    labels = torch.ones(2, 8, 8, dtype=torch.long)
    box = torch.tensor([[0.5, 0.25, 0.5, 0.25]]).expand(2, -1)
    result = cut_out(labels, box, torch.tensor([True, False]))
    expected = torch.ones(8, 8, dtype=torch.long)
    expected[2:6, 1:3] = 0
    assert torch.equal(result[0], expected)
    assert torch.equal(result[1], labels[1])


def test_compiled_augmentation_equals_the_eager_one() -> None:
    assert_compiles(partial(augment_labels, **SPARSE), scribbles(), torch.arange(4), K, 64)
