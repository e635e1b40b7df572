from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import gaussian_kde

from semsynth.data.pairs import Pair
from semsynth.data.rarity import mean_colours, rarity_scores
from tests.data.trees import write_map, write_photo

LOOKUP = np.where(np.arange(256) < 4, np.arange(256), -1)
LOOKUP[255] = 255


def pair_of(folder: Path, photo: np.ndarray, labels: np.ndarray) -> Pair:
    Image.fromarray(photo).save(folder / "photo.png")
    write_map(folder / "labels.png", labels)
    return Pair("photo", folder / "photo.png", (folder / "labels.png",))


def test_mean_colours_equal_the_mean_over_the_pixels_of_each_class(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", (7, 5))
    labels = np.random.default_rng(0).integers(0, 3, (5, 7))
    labels[0, 0] = 255
    colours = mean_colours(pair_of(tmp_path, photo, labels), LOOKUP, 4)
    for label in range(3):
        np.testing.assert_allclose(colours[label], photo[labels == label].mean(0))
    assert np.isnan(colours[3]).all()


def test_blank_photo_has_no_colours(tmp_path: Path) -> None:
    photo = np.full((4, 4, 3), (10, 20, 30), dtype=np.uint8)
    colours = mean_colours(pair_of(tmp_path, photo, np.zeros((4, 4))), LOOKUP, 4)
    assert np.isnan(colours).all()


@pytest.fixture
def colours() -> np.ndarray:
    """A class of 80 photos, one of the first 75, and one of the first 67."""
    colours = np.random.default_rng(0).normal(120, 20, (80, 3, 3))
    colours[75:, 1] = np.nan
    colours[67:, 2] = np.nan
    return colours


def test_score_is_one_over_the_density(colours: np.ndarray) -> None:
    scores = rarity_scores(colours)
    for label, count in ((0, 80), (1, 75)):
        points = colours[:count, label].T
        expected = [1 / gaussian_kde(points)(point)[0] for point in points.T]
        np.testing.assert_allclose(scores[:count, label], expected)
        assert (scores[count:, label] == 0).all()


def test_class_of_67_photos_counts_as_the_rarest_of_its_photo(colours: np.ndarray) -> None:
    scores = rarity_scores(colours)
    np.testing.assert_array_equal(scores[:67, 2], scores[:67, :2].max(1))
    assert (scores[67:, 2] == 0).all()


def test_class_of_one_colour_has_no_density(colours: np.ndarray) -> None:
    colours[:, 0] = 5
    scores = rarity_scores(colours)
    np.testing.assert_array_equal(scores[:75, 0], scores[:75, 1])


def test_outlier_is_the_rarest(colours: np.ndarray) -> None:
    colours[11, 0] = 250, 5, 250
    assert rarity_scores(colours)[:, 0].argmax() == 11
