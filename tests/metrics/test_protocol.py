from typing import Any

import pytest

from semsynth.metrics import protocol


def card(**changes: Any) -> protocol.Card:
    metrics = {"FID": {"extractor": "inception", "resize": "bicubic"}, "MeanIoU": {"size": 64}}
    base = {"split": "val", "num_images": 500, "metrics": metrics, "versions": {"torch": "2.11"}}
    return base | changes


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (card(), card(), {}),
        (card(seed=0), card(), {"seed": (0, None)}),  # one side lacks it
        (card(), card(metrics={"MeanIoU": {"size": 64}}), {}),  # one side lacks a score
        (card(), card(versions={"torch": "2.12"}), {}),
        (None, None, {}),
        (card(), None, {"protocol": ("known", None)}),
    ],
)
def test_keys_that_differ_are_named_but_not_versions_and_scores_of_one_side(
    a: protocol.Card | None, b: protocol.Card | None, expected: dict[str, tuple[Any, Any]]
) -> None:
    assert protocol.differences(a, b) == expected
    if not expected:
        protocol.require_same(a, b, ("a", "b"))


def test_key_that_differs_is_named_with_both_values() -> None:
    metrics = {"FID": {"extractor": "inception", "resize": "bilinear"}}
    other = card(split="test", metrics=metrics)
    assert protocol.differences(card(), other) == {
        "split": ("val", "test"),
        "metrics.FID.resize": ("bicubic", "bilinear"),
    }
    message = r"of a and b .* split is val and test; metrics\.FID\.resize"
    with pytest.raises(protocol.ProtocolError, match=message):
        protocol.require_same(card(), other, ("a", "b"))


def test_versions_that_differ_are_named() -> None:
    other = card(versions={"torch": "2.12"})
    assert protocol.version_differences(card(), other) == {"torch": ("2.11", "2.12")}
