"""Rarity of the colours of each class of each photo (cIMLE, Li et al., ICCV 2019)."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import gaussian_kde

from semsynth.data.check.scan import in_threads
from semsynth.data.decode import read_image, read_labels
from semsynth.data.pairs import Pair
from semsynth.data.transforms import resize_map

FEW = 67
"""A class in at most this many photos gets no density."""


def mean_colours(pair: Pair, lookup: np.ndarray, num_classes: int) -> np.ndarray:
    """Mean RGB of each class in a photo (num_classes, 3), NaN for absent ones or a blank photo."""
    assert pair.image is not None
    photo = read_image(pair.image)
    labels = resize_map(read_labels(pair), (photo.shape[1], photo.shape[2]))
    image, classes = photo.flatten(1).numpy(), lookup[labels.flatten().numpy()]  # (3, H * W)
    blank = bool((image == image[:, :1]).all())
    kept = (classes >= 0) & (classes < num_classes) & (not blank)
    area = np.bincount(classes[kept], minlength=num_classes)
    sums = [np.bincount(classes[kept], channel[kept], num_classes) for channel in image]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, 1) / area[:, None]


def rarity_scores(colours: np.ndarray) -> np.ndarray:
    """Inverse density of mean colours (N, num_classes, 3) of each class; 0 for NaN.

    A class in few photos has no density; it counts as much as the rarest other class of its photo,
    as in the paper; the released script uses the inverse of that score.
    """
    there = ~np.isnan(colours).any(2)
    scores = np.zeros(there.shape)
    few = np.zeros(there.shape[1], dtype=bool)
    for label in range(there.shape[1]):
        points = colours[there[:, label], label].T  # (3, photos)
        if points.shape[1] <= FEW or np.linalg.matrix_rank(np.cov(points)) < 3:
            few[label] = True
            continue
        scores[there[:, label], label] = 1 / gaussian_kde(points)(points)
    rarest = scores.max(1, keepdims=True)
    rarest[rarest == 0] = 1
    return np.where(there & few, rarest, scores)


def scores_of_pairs(pairs: Sequence[Pair], lookup: np.ndarray, num_classes: int) -> np.ndarray:
    """Scores (N, num_classes) of photos on disk, read in parallel."""
    title = f"Measuring the colours of {len(pairs)} samples"
    colours = in_threads(lambda pair: mean_colours(pair, lookup, num_classes), pairs, title)
    return rarity_scores(np.stack(colours))
