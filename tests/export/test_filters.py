import pytest
import torch

from semsynth.export.filters import Scores, Thresholds, judge

MASK = torch.tensor([[[0, 0], [1, 1]], [[0, 1], [1, 1]]])


def test_without_thresholds_everything_stays() -> None:
    verdict = judge(MASK, Scores(margin=torch.zeros(2, 2, 2)), Thresholds())
    assert torch.equal(verdict.mask, MASK)
    assert verdict.reasons == [[], []]


def test_pixels_below_the_margin_of_their_class_become_unlabelled() -> None:
    margin = torch.tensor([[[0.1, 0.3], [0.1, 0.3]], [[0.3, 0.3], [0.3, 0.3]]])
    verdict = judge(MASK, Scores(margin=margin), Thresholds(margin=[0.2, 0.0]))
    assert verdict.mask.tolist() == [[[255, 0], [1, 1]], [[0, 1], [1, 1]]]
    assert verdict.removed["margin"].tolist() == [0.25, 0]


def test_pixels_that_judges_disagree_on_become_unlabelled() -> None:
    scores = Scores(disagreement=torch.full((2, 2, 2), 0.5))
    verdict = judge(MASK, scores, Thresholds(disagreement=[0.4, 0.6]))
    assert ((verdict.mask == 255) == (MASK == 0)).all()


def test_a_class_that_is_not_found_becomes_unlabelled() -> None:
    agreement = torch.tensor([[0.9, 0.1], [0.9, 0.9]])
    scores = Scores(class_agreement=agreement)
    verdict = judge(MASK, scores, Thresholds(class_agreement=[0.5, 0.5]))
    assert verdict.mask[0].tolist() == [[0, 0], [255, 255]]
    assert torch.equal(verdict.mask[1], MASK[1])


def test_images_that_are_not_found_or_are_copies_are_dropped() -> None:
    scores = Scores(
        class_agreement=torch.tensor([[0.2, 0.2], [0.9, torch.nan]]),
        distance=torch.tensor([0.5, 0.01]),
    )
    verdict = judge(MASK, scores, Thresholds(agreement=0.5, copies=0.03))
    assert verdict.reasons == [["agreement"], ["copies"]]


def test_an_image_with_few_labels_left_is_dropped() -> None:
    margin = torch.tensor([[[0.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    verdict = judge(MASK, Scores(margin=margin), Thresholds(margin=[0.5, 0.5]))
    assert verdict.reasons == [["unlabelled"], []]


def test_pixels_without_a_class_stay_so_and_count_for_nothing() -> None:
    mask = torch.tensor([[[255, 0], [1, 1]]])
    scores = Scores(margin=torch.ones(1, 2, 2), class_agreement=torch.ones(1, 2))
    limits = Thresholds(margin=[0.5, 0.5], class_agreement=[0.5, 0.5])
    verdict = judge(mask, scores, limits)
    assert torch.equal(verdict.mask, mask)
    assert verdict.reasons == [[]]


def test_confidence_is_the_agreement_or_else_the_margin() -> None:
    margin = torch.full((1, 2, 2), 0.25)
    both = Scores(margin=margin, class_agreement=torch.tensor([[0.5, 1.0]]))
    assert both.confidence(1).tolist() == [0.75]
    assert Scores(margin=margin).confidence(1).tolist() == [0.25]
    assert Scores().confidence(2).tolist() == [1.0, 1.0]


def test_thresholds_that_are_off_are_not_written() -> None:
    assert Thresholds(copies=0.1).to_json() == {"copies": 0.1}
    assert Thresholds(**Thresholds(copies=0.1).to_json()).copies == pytest.approx(0.1)
