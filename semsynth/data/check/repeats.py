"""Photos that occur twice: in two splits, where scores become too good, or in one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from semsynth.data.check.splits import SplitFiles
from semsynth.data.errors import Problem

LEAK, TWICE = "photo in two splits", "photo twice in a split"
SIMILAR = 0.995
"""Correlation of the thumbnails of a photo and a resized, recompressed or brightened copy."""
ROWS = 1024


def repeated_photos(splits: Sequence[SplitFiles]) -> list[Problem]:
    """A warning for each photo that is, or nearly is, an earlier one of any split."""
    photos = [
        (pair.image, split.title, seen.thumbnail)
        for split in splits
        for pair, seen in zip(split.pairs, split.samples, strict=True)
        if pair.image is not None and seen.thumbnail is not None
    ]
    if not photos:
        return []
    found: dict[Path, Problem] = {}
    for i, j, similarity in _similar(np.stack([thumbnail for *_, thumbnail in photos])):
        (first, title, _), (second, other, _) = photos[i], photos[j]
        if second in found or first == second:  # by design, as in Images
            continue
        kind = TWICE if title == other else LEAK
        remedy = "; keep one" if kind == LEAK else ""
        text = f"{second} repeats {first} ({similarity:.3f}){remedy}."
        found[second] = Problem(kind, second, text)
    return list(found.values())


def _similar(thumbnails: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Positions i < j, and correlation, of similar thumbnails among (N, pixels), of unit norm."""
    thumbnails = thumbnails.astype(np.float32)
    for start in range(0, len(thumbnails), ROWS):
        rows = thumbnails[start : start + ROWS]
        correlation = np.triu(rows @ thumbnails[start:].T, k=1)  # (rows, N - start)
        for i, j in np.argwhere(correlation > SIMILAR):
            yield start + int(i), start + int(j), float(correlation[i, j])
