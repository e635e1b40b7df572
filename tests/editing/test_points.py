import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing.points import (
    all_marks,
    check_marks,
    fixed_marks,
    random_marks,
    read_cells,
    read_pixels,
)

GRID = 16


def moving(batch_size: int) -> tuple[Tensor, Tensor]:
    """Flow of 4 pixels in the upper half and of none below, valid in the left half."""
    flow = torch.zeros(batch_size, 2, GRID, GRID)
    flow[:, 0, : GRID // 2] = 4
    valid = torch.zeros(batch_size, 1, GRID, GRID, dtype=torch.bool)
    valid[..., : GRID // 2] = True
    return flow, valid


def test_features_in_pixels_equal_those_of_the_nearest_enlargement() -> None:
    features = torch.randn(2, 3, 8, 8)
    enlarged = F.interpolate(features, size=(32, 32), mode="nearest")
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    points = torch.stack([x, y], -1).view(1, -1, 2).expand(2, -1, -1).float()
    found = read_pixels(features, points, 32)
    assert torch.equal(found, enlarged.flatten(2).mT)


def test_grid_of_features_equals_enlarging_and_nearest_sampling() -> None:
    features = torch.randn(2, 5, 64, 64)
    enlarged = F.interpolate(features, size=(256, 256), mode="nearest")
    places = torch.arange(0, 256, 16)
    y, x = torch.meshgrid(places, places, indexing="ij")
    grid = (2 * torch.stack([x, y], -1) + 1) / 256 - 1
    sampled = F.grid_sample(
        enlarged, grid.expand(2, -1, -1, -1), mode="nearest", align_corners=False
    )
    assert torch.equal(features[:, :, ::4, ::4], sampled)
    cells = all_marks(torch.ones(2, 1, 16, 16, dtype=torch.bool)).cells
    assert torch.equal(read_cells(features[:, :, ::4, ::4], cells), sampled.flatten(2).mT)


def test_points_are_valid_and_different_and_as_many_as_asked_for() -> None:
    flow, valid = moving(4)
    marks = fixed_marks(flow, valid, torch.arange(4), torch.tensor([[1], [8], [32], [64]]), 64)
    assert marks.points_mask.sum(1).tolist() == [1, 8, 32, 64]
    for cells, there in zip(marks.cells, marks.points_mask, strict=True):
        chosen = cells[there]
        assert len(chosen.unique()) == len(chosen)
        assert (chosen % GRID < GRID // 2).all()


def test_there_are_no_more_points_than_valid_cells() -> None:
    flow, valid = moving(1)
    valid[:] = False
    valid[0, 0, 3, 5] = True
    marks = fixed_marks(flow, valid, torch.zeros(1, dtype=torch.long), 8, 8)
    assert marks.cells[marks.points_mask].tolist() == [3 * GRID + 5]
    valid[:] = False
    assert not fixed_marks(flow, valid, torch.zeros(1, dtype=torch.long), 8, 8).points_mask.any()


def test_three_of_four_single_points_lie_in_the_moving_half() -> None:
    flow, valid = moving(4000)
    marks = fixed_marks(flow, valid, torch.arange(4000), 1, 1)
    upper = (marks.cells < GRID * GRID // 2).float().mean()  # half evenly, half by flow
    assert upper == pytest.approx(0.75, abs=0.03)


def test_few_points_are_as_likely_as_many() -> None:
    flow, valid = moving(4000)
    marks = random_marks(flow, valid, torch.arange(4000), still=0.5, max_points=64, max_anchors=8)
    number = (marks.points_mask & ~marks.anchors).sum(1)
    for low, high in ((1, 2), (4, 8), (16, 32)):
        share = ((number >= low) & (number < high)).float().mean()
        expected = math.log(high / low) / math.log(65)
        assert share == pytest.approx(expected, abs=0.03)
    assert (int(number.min()), int(number.max())) == (1, 64)


def test_anchors_lie_where_nothing_moves_and_are_none_to_eight() -> None:
    flow, valid = moving(2000)
    marks = random_marks(flow, valid, torch.arange(2000), still=0.5)
    assert (marks.cells[marks.anchors] >= GRID * GRID // 2).all()
    assert (marks.cells[marks.anchors] % GRID < GRID // 2).all()
    counts = marks.anchors.sum(1).bincount(minlength=9)
    assert len(counts) == 9
    assert (counts / 2000 - 1 / 9).abs().max() < 0.03
    assert (marks.points_mask | ~marks.anchors).all()


def test_marks_depend_on_the_seed_of_their_sample_alone() -> None:
    flow, valid = moving(3)
    seeds = torch.tensor([5, 6, 7])
    together = random_marks(flow, valid, seeds, 0.5)
    alone = random_marks(flow[1:2], valid[1:2], seeds[1:2], 0.5)
    assert all(torch.equal(a[1:2], b) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(together.cells[0], together.cells[1])


@pytest.mark.parametrize(
    ("point", "motion", "there", "ok"),
    [
        ([3.0, 31.0], [1.0, 0.0, 0.0], True, True),
        ([3.0, 31.5], [1.0, 0.0, 0.0], True, False),
        ([-1.0, 3.0], [1.0, 0.0, 0.0], True, False),
        ([3.0, 3.0], [math.nan, 0.0, 0.0], True, False),
        ([3.0, math.inf], [1.0, 0.0, 0.0], True, False),
        ([math.nan, 3.0], [math.nan, 0.0, 0.0], False, True),
    ],
)
def test_marks_outside_the_canvas_or_not_finite_are_refused(
    point: list[float], motion: list[float], there: bool, ok: bool
) -> None:
    marks = torch.tensor([[point]]), torch.tensor([[motion]]), torch.tensor([[there]])
    if ok:
        check_marks(*marks, 32)
    else:
        with pytest.raises(ValueError, match="inside the canvas, 0 to 31"):
            check_marks(*marks, 32)


def test_marks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2, 3\), \(1, 2, 3\)"):
        check_marks(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.ones(1, 2).bool(), 32)
