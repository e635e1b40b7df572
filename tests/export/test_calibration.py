import pytest
import torch

from semsynth.export.calibration import (
    EVERYTHING,
    NOTHING,
    by_precision,
    by_share,
    quantile,
    threshold_for_precision,
)
from semsynth.export.filters import Scores


def test_the_lowest_threshold_with_the_precision_is_found() -> None:
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    right = torch.tensor([True, True, False, True, False])
    assert threshold_for_precision(confidence, right, 1.0) == pytest.approx(0.8)
    assert threshold_for_precision(confidence, right, 0.75) == pytest.approx(0.6)
    assert threshold_for_precision(confidence, right, 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize(("right", "expected"), [([True, False], NOTHING), ([], EVERYTHING)])
def test_equal_confidences_pass_together_and_no_items_pass(
    right: list[bool], expected: float
) -> None:
    confidence = torch.full((len(right),), 0.5)
    assert threshold_for_precision(confidence, torch.tensor(right).bool(), 0.9) == expected


def test_a_loop_over_all_thresholds_finds_no_better_one() -> None:
    torch.manual_seed(0)
    confidence = torch.rand(200)
    right = torch.rand(200) < confidence
    found = threshold_for_precision(confidence, right, 0.8)
    good = [float(t) for t in confidence if right[confidence >= t].float().mean() >= 0.8]
    assert found == pytest.approx(min(good))


def test_thresholds_on_held_out_images_are_for_each_class() -> None:
    mask = torch.tensor([[[0, 0, 1, 1]]])
    found = torch.tensor([[[0, 0, 1, 0]]])
    margin = torch.tensor([[[0.9, 0.5, 0.1, 0.7]]])
    limits = by_precision(["margin"], 0.9, mask, Scores(margin=margin), found, None, None)
    assert limits.margin == pytest.approx([0.9, 0.1])


def test_masks_that_were_moved_count_as_wrong() -> None:
    right = torch.tensor([[0.9, 0.8], [0.8, torch.nan]])
    wrong = torch.tensor([[0.5, 0.85], [0.4, 0.3]])
    scores = Scores(class_agreement=right)
    names = ["class_agreement", "agreement"]
    limits = by_precision(names, 1.0, torch.zeros(2, 1, 1).long(), scores, None, None, wrong)
    assert limits.class_agreement == pytest.approx([0.8, NOTHING])
    assert limits.agreement == pytest.approx(0.8)


def test_a_share_of_each_class_is_kept() -> None:
    mask = torch.tensor([0] * 10 + [1] * 10).view(1, 1, 20)
    margin = torch.cat([torch.arange(10.0), torch.arange(10.0) / 100]).view(1, 1, 20)
    limits = by_share(["margin"], 0.7, mask, Scores(margin=margin))
    assert limits.margin is not None
    for c in (0, 1):
        assert (margin[mask == c] >= limits.margin[c]).sum() == 7


def test_only_filters_that_are_on_get_thresholds() -> None:
    scores = Scores(margin=torch.ones(1, 2, 2), disagreement=torch.ones(1, 2, 2))
    limits = by_share(["disagreement"], 0.5, torch.zeros(1, 2, 2).long(), scores)
    assert set(limits.to_json()) == {"disagreement"}


def test_a_quantile_leaves_its_share_below() -> None:
    values = torch.arange(10.0)
    assert (values < quantile(values, 0.3)).sum() == 3
    assert quantile(values[:0], 0.3) == EVERYTHING
