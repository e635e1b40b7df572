import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing.points import all_marks, fixed_marks, random_marks
from semsynth.networks.motion.marks import Marks, check_marks

GRID, CANVAS = 16, 64


def moving(batch_size: int) -> dict[str, Tensor]:
    """Flow of 4 pixels in the upper half and of none below, valid in the left half."""
    flow = torch.zeros(batch_size, 2, GRID, GRID)
    flow[:, 0, : GRID // 2] = 4
    valid = torch.zeros(batch_size, 1, GRID, GRID, dtype=torch.bool)
    valid[..., : GRID // 2] = True
    return {"flow": flow, "log_expansion": torch.zeros_like(flow[:, :1]), "valid": valid}


def test_features_in_pixels_equal_those_of_the_nearest_enlargement() -> None:
    features = torch.randn(2, 3, 8, 8)
    enlarged = F.interpolate(features, size=(32, 32), mode="nearest")
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    points = torch.stack([x, y], -1).view(1, -1, 2).expand(2, -1, -1).float()
    found = Marks(points, points, points).read(features, 32)
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
    marks = all_marks(moving(2), 256)
    assert torch.equal(marks.read(features[:, :, ::4, ::4], 256), sampled.flatten(2).mT)
    assert torch.equal(marks.read(features, 256), sampled.flatten(2).mT)


def test_points_are_valid_and_different_and_as_many_as_asked_for() -> None:
    number = torch.tensor([[1], [8], [32], [64]])
    marks = fixed_marks(moving(4), torch.arange(4), CANVAS, number, 64)
    assert marks.points_mask.sum(1).tolist() == [1, 8, 32, 64]
    for points, motions, there in zip(*marks, strict=True):
        chosen = points[there]
        assert len(chosen.unique(dim=0)) == len(chosen)
        assert (chosen[:, 0] < CANVAS // 2).all()
        assert torch.equal(motions[there, 0] > 0, chosen[:, 1] < CANVAS // 2)


def test_there_are_no_more_points_than_valid_cells() -> None:
    pairs, seed = moving(1), torch.zeros(1, dtype=torch.long)
    pairs["valid"][:] = False
    assert not fixed_marks(pairs, seed, CANVAS, 8, 8).points_mask.any()
    pairs["valid"][0, 0, 3, 5] = True
    marks = fixed_marks(pairs, seed, CANVAS, 8, 8)
    assert marks.points[marks.points_mask].tolist() == [[5 * 4, 3 * 4]]


def test_three_of_four_single_points_lie_in_the_moving_half() -> None:
    marks = fixed_marks(moving(4000), torch.arange(4000), CANVAS, 1, 1)
    upper = (marks.points[..., 1] < CANVAS // 2).float().mean()  # half evenly, half by flow
    assert upper == pytest.approx(0.75, abs=0.03)


def test_few_points_are_as_likely_as_many() -> None:
    marks = random_marks(moving(4000), torch.arange(4000), CANVAS, 0.5, 64, max_anchors=8)
    number = marks.points_mask[:, :64].sum(1)
    for low, high in ((1, 2), (4, 8), (16, 32)):
        share = ((number >= low) & (number < high)).float().mean()
        expected = math.log(high / low) / math.log(65)
        assert share == pytest.approx(expected, abs=0.03)
    assert (int(number.min()), int(number.max())) == (1, 64)


def test_anchors_lie_where_nothing_moves_and_are_none_to_eight() -> None:
    points, motions, there = random_marks(moving(2000), torch.arange(2000), CANVAS, still=0.5)
    anchors, are_there = points[:, 64:], there[:, 64:]
    assert (anchors[are_there][:, 1] >= CANVAS // 2).all()
    assert (anchors[are_there][:, 0] < CANVAS // 2).all()
    assert not motions[:, 64:].any()
    counts = are_there.sum(1).bincount(minlength=9)
    assert len(counts) == 9
    assert (counts / 2000 - 1 / 9).abs().max() < 0.03


def test_marks_depend_on_the_seed_of_their_sample_alone() -> None:
    seeds = torch.tensor([5, 6, 7])
    together = random_marks(moving(3), seeds, CANVAS, 0.5)
    alone = random_marks(moving(1), seeds[1:2], CANVAS, 0.5)
    assert all(torch.equal(a[1:2], b) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(together.points[0], together.points[1])


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
        with pytest.raises(ValueError, match=r"Mark 1 must be finite .* inside the image, 0\.\.31"):
            check_marks(*marks, 32)


def test_marks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2, 3\), \(1, 2, 3\)"):
        check_marks(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), torch.ones(1, 2).bool(), 32)
