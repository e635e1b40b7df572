from typing import Any

import pytest

from semsynth.metrics import protocol


def card(**changes: Any) -> protocol.Card:
    metrics = {"FID": {"extractor": "inception", "resize": "bicubic"}, "MeanIoU": {"size": 64}}
    base = {"split": "val", "num_images": 500, "metrics": metrics, "versions": {"torch": "2.11"}}
    return base | changes


def test_equal_cards_may_be_compared() -> None:
    assert protocol.differences(card(), card()) == {}
    protocol.require_same(card(), card(), ("a", "b"))


def test_key_that_differs_is_named_with_both_values() -> None:
    metrics = {"FID": {"extractor": "inception", "resize": "bilinear"}}
    other = card(split="test", metrics=metrics)
    assert protocol.differences(card(), other) == {
        "split": ("val", "test"),
        "metrics.FID.resize": ("bicubic", "bilinear"),
    }
    with pytest.raises(
        protocol.ProtocolError, match=r"of a and b .* split is val and test; metrics\.FID\.resize"
    ):
        protocol.require_same(card(), other, ("a", "b"))


def test_key_that_one_side_lacks_differs() -> None:
    assert protocol.differences(card(seed=0), card()) == {"seed": (0, None)}


def test_score_that_one_side_lacks_is_no_obstacle() -> None:
    assert protocol.differences(card(), card(metrics={"MeanIoU": {"size": 64}})) == {}


def test_versions_are_no_obstacle_but_are_named() -> None:
    other = card(versions={"torch": "2.12"})
    assert protocol.differences(card(), other) == {}
    assert protocol.version_differences(card(), other) == {"torch": ("2.11", "2.12")}


def test_scores_without_a_card_compare_with_their_like_alone() -> None:
    assert protocol.differences(None, None) == {}
    assert "protocol" in protocol.differences(card(), None)


def test_versions_of_this_environment_are_found() -> None:
    assert protocol.installed_versions()["torch"]
