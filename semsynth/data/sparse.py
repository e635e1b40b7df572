"""Synthetic scribbles and landmarks from dense label maps."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from torch.utils.data import Dataset

from semsynth.data.base import Batch
from semsynth.data.decode import read_labels
from semsynth.data.errors import DataError
from semsynth.data.pairs import Pair

SparseKind = Literal["scribbles", "landmarks"]
UNITS = 32  # a stroke is a 32nd of the image wide, so that it survives on a grid of 32 x 32
LARGE = 0.1  # a region with more than this share of the image gets two strokes
_STROKES = 3  # random stream, different from those of the toy worlds


class SparseLabels(Dataset[Batch]):
    """Samples with a sparse ``mask``; the dense one is ``full_mask``.

    Class k has the value k + 1 and 0 is unknown. The strokes of a sample depend on the seed, on
    ``first`` plus its ``index``, different in each split, and on its dense mask (H, W).
    """

    def __init__(
        self, dataset: Dataset[Batch], kind: SparseKind, seed: int = 0, first: int = 0
    ) -> None:
        self.dataset, self.kind, self.seed, self.first = dataset, kind, seed, first

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """Samples of a batch, from the data set's batch if it makes one."""
        read = getattr(self.dataset, "__getitems__", lambda ids: [self.dataset[i] for i in ids])
        return [item | self._sparse(item) for item in read(indices)]

    def _sparse(self, item: Batch) -> Batch:
        mask = item["mask"].numpy()
        if self.kind == "landmarks":
            drawn = landmarks(mask)
        else:
            key = [self.seed, self.first + int(item["index"]), _STROKES]
            drawn = scribbles(mask, np.random.default_rng(key))
        return {"mask": torch.from_numpy(drawn), "full_mask": item["mask"]}


def require_marks(pairs: Sequence[Pair], lookup: np.ndarray) -> None:
    """Refuse sparse label maps without any mark; ``lookup`` (256,) is 0 for unknown."""
    for pair in pairs:
        if pair.labels and not (lookup[read_labels(pair).numpy()] % 255).any():
            raise DataError(
                f"{pair.labels[0]} marks nothing: all pixels are 0, unknown. Draw at least one "
                "mark, or remove the file."
            )


def scribbles(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One curved stroke of class + 1 inside each connected region of a mask, two in large ones."""
    drawn = np.zeros(mask.shape, dtype=np.int64)
    for label, region in regions(mask):
        inside = np.argwhere(core(region))
        for _ in range(2 if region.mean() > LARGE else 1):
            ends = inside[rng.integers(len(inside), size=3)]
            drawn[brush(curve(*ends), region)] = label + 1
    return drawn


def landmarks(mask: np.ndarray) -> np.ndarray:
    """A dot of class + 1 in each connected region of a mask, farthest from its border."""
    drawn = np.zeros(mask.shape, dtype=np.int64)
    for label, region in regions(mask):
        centre = np.array(np.unravel_index(border_distance(region).argmax(), mask.shape))
        drawn[brush(centre[None], region)] = label + 1
    return drawn


def regions(mask: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Connected regions (H, W), bool, with their class; specks only if a class has no other."""
    speck = (max(mask.shape) / UNITS) ** 2
    for label in np.unique(mask):
        numbered, count = ndimage.label(mask == label, np.ones((3, 3)))
        areas = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
        for number in range(count):
            if areas[number] >= speck or number == areas.argmax():
                yield int(label), numbered == number + 1


def border_distance(region: np.ndarray) -> np.ndarray:
    """Distance of each pixel (H, W) from the outside, which includes that of the image."""
    return ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]


def core(region: np.ndarray) -> np.ndarray:
    """The pixels of a region that are not close to its border, if any."""
    distance = border_distance(region)
    return distance >= min(2 * brush_width(region) - 1, distance.max())


def curve(start: np.ndarray, bend: np.ndarray, end: np.ndarray, points: int = 256) -> np.ndarray:
    """Pixels (points, 2) of a quadratic Bezier curve between two pixels (2,)."""
    t = np.linspace(0, 1, points)[:, None]
    return np.rint((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end).astype(int)


def brush(pixels: np.ndarray, region: np.ndarray) -> np.ndarray:
    """A stroke (H, W), bool, through pixels (N, 2), clipped to its region."""
    stroke = np.zeros_like(region)
    stroke[pixels[:, 0], pixels[:, 1]] = True
    width = brush_width(region)
    return ndimage.binary_dilation(stroke, np.ones((width, width))) & region


def brush_width(region: np.ndarray) -> int:
    """Width of a stroke in an image of this size."""
    return max(1, round(max(region.shape) / UNITS))
