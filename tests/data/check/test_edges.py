from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data.check.edges import agreement, edges, hints_on_edges
from semsynth.data.pairs import Pair


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Noisy photos of five discs and boxes of random place, each with its label map."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :200]
    found = []
    for i in range(6):
        labels = np.zeros((160, 200), np.uint8)
        for label in range(1, 6):
            cy, cx, r = rng.integers(160), rng.integers(200), rng.integers(15, 40)
            distance = (
                np.hypot(y - cy, x - cx) if label % 2 else np.maximum(abs(y - cy), abs(x - cx))
            )
            labels[distance < r] = label
        colours = rng.integers(0, 256, (6, 3))
        photo = (colours[labels] + rng.normal(0, 25, (160, 200, 3))).clip(0, 255)
        Image.fromarray(photo.astype(np.uint8)).save(tmp_path / f"{i}.jpg")
        Image.fromarray(labels).save(tmp_path / f"{i}.png")
        found.append(Pair(str(i), tmp_path / f"{i}.jpg", (tmp_path / f"{i}.png",)))
    return found


def exchange(pairs: list[Pair], i: int, j: int) -> list[Pair]:
    result = list(pairs)
    result[i] = Pair(pairs[i].name, pairs[i].image, pairs[j].labels)
    result[j] = Pair(pairs[j].name, pairs[j].image, pairs[i].labels)
    return result


def test_right_pairs_give_no_hint(pairs: list[Pair]) -> None:
    assert hints_on_edges(pairs) == []


@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 4), (2, 5)])
def test_exchanged_label_maps_of_one_size_are_suspected(pairs: list[Pair], i: int, j: int) -> None:
    (hint,) = hints_on_edges(exchange(pairs, i, j))
    assert f"{i}.png" in hint
    assert f"{j}.png" in hint


def test_set_that_is_shifted_by_one_is_suspected_as_a_whole(pairs: list[Pair]) -> None:
    shifted = [Pair(a.name, a.image, b.labels) for a, b in pairwise(pairs)]
    (hint,) = hints_on_edges(shifted)
    assert "does each belong to its photo?" in hint


def test_agreement_is_high_on_the_photo_and_half_on_another(pairs: list[Pair]) -> None:
    rank, outline = edges(pairs[0])
    assert agreement(rank, outline) > 0.7
    assert agreement(rank, outline.flip(0, 1)) == pytest.approx(0.5, abs=0.1)


def test_label_maps_without_outlines_give_no_hint(tmp_path: Path) -> None:
    flat = []
    for i in range(4):
        Image.new("RGB", (50, 50), (i, i, i)).save(tmp_path / f"{i}.jpg")
        Image.new("L", (50, 50), i).save(tmp_path / f"{i}.png")
        flat.append(Pair(str(i), tmp_path / f"{i}.jpg", (tmp_path / f"{i}.png",)))
    assert hints_on_edges(flat) == []
