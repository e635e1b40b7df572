"""Photos and label maps on disk: pairing, checking, reading."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch.utils.data import Dataset

from semsynth.data.base import (
    Batch,
    DataError,
    LabelSpace,
    Split,
    SynthesisDataModule,
    height_and_width,
)
from semsynth.data.transforms import PairTransform, resize_mask

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
INDEX_MODES = ("L", "P", "1", "I", "I;16")
Pair = tuple[Path, Path]


def list_images(directory: Path) -> dict[str, Path]:
    """Image files of a directory by stem, sorted.

    Raises:
        DataError: The directory does not exist, is empty, or has two files of one stem.
    """
    if not directory.is_dir():
        raise DataError(f"There is no directory {directory}; check the root of the data set.")
    files = sorted(p for p in directory.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(
            f"{directory} holds no image; expected files ending in {', '.join(IMAGE_SUFFIXES)}."
        )
    by_stem = {p.stem: p for p in files}
    if len(by_stem) < len(files):
        twice = next(p for p in files if by_stem[p.stem] != p)
        raise DataError(f"{twice} and {by_stem[twice.stem]} have the same stem; remove one.")
    return by_stem


def find_pairs(images: Path, masks: Path) -> list[Pair]:
    """Pair the files of two directories by stem.

    Raises:
        DataError: A directory is missing or empty, or a file has no partner.
    """
    image_files, mask_files = list_images(images), list_images(masks)
    for stem in sorted(image_files.keys() ^ mask_files.keys()):
        file = image_files.get(stem) or mask_files[stem]
        other, what = (masks, "mask") if stem in image_files else (images, "image")
        raise DataError(f"{file} has no {what}: expected {other / stem}.* ; add it or remove both.")
    return [(image_files[stem], mask_files[stem]) for stem in image_files]


def problem_of(pair: Pair, lookup: np.ndarray) -> str | None:
    """What is wrong with a pair, if anything: file, value and remedy in one line."""
    image, mask = pair
    try:
        with Image.open(image) as opened:
            opened.load()
            image_size = opened.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return f"{image} cannot be read ({error}); replace or remove it and its mask."
    problem = problem_of_mask(mask, lookup)
    if problem:
        return problem
    with Image.open(mask) as opened:
        if _shape_differs(opened.size, image_size):
            return (
                f"{mask} is {opened.size[0]}x{opened.size[1]} and its image is "
                f"{image_size[0]}x{image_size[1]}, another shape; export the mask again."
            )
    return None


def _shape_differs(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes differ by more than a scale; CelebAMask-HQ has masks at half size."""
    return abs(a[0] * b[1] - a[1] * b[0]) > max(*a, *b)


def problem_of_mask(mask: Path, lookup: np.ndarray) -> str | None:
    """What is wrong with a label map, if anything."""
    try:
        with Image.open(mask) as opened:
            if opened.mode not in INDEX_MODES:
                return (
                    f"{mask} is a colour image (mode {opened.mode}); expected one channel whose "
                    "values are classes. Convert its palette to class indices."
                )
            values = np.unique(np.asarray(opened).astype(np.int64))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return f"{mask} cannot be read ({error}); replace or remove it and its image."
    outside = [int(v) for v in values if not 0 <= v < 256 or lookup[v] < 0]
    if outside:
        return (
            f"{mask} holds the value {outside[0]}, which is no class; expected "
            f"{describe_values(lookup)}. Map it to a class or to the value for unlabelled pixels."
        )
    return None


def describe_values(lookup: np.ndarray) -> str:
    """The values that a mask may hold, for a message: ``0 to 149 and 255``."""
    values = np.flatnonzero(lookup >= 0)
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return " and ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def check_pairs(pairs: Sequence[Pair], lookup: np.ndarray) -> None:
    """Read every file once, before training, and remember that it was good.

    Raises:
        DataError: Some files are bad; the first ten are listed.
    """
    marker = _marker(pairs, lookup)
    if marker.exists():
        return
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda pair: problem_of(pair, lookup), pairs)
        found = list(track(results, f"Checking {len(pairs)} pairs", len(pairs), transient=True))
    raise_problems([p for p in found if p], len(pairs))
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def raise_problems(problems: list[str], total: int) -> None:
    """Raise a DataError that lists the first ten problems, if there are any."""
    if problems:
        rest = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        listed = "\n  ".join(problems[:10])
        raise DataError(f"{len(problems)} of {total} samples are bad:\n  {listed}{rest}")


def _marker(pairs: Sequence[Pair], lookup: np.ndarray) -> Path:
    """A file whose name changes when a file of the data set does."""
    digest = hashlib.sha256(lookup.tobytes())
    for path in (p for pair in pairs for p in pair):
        status = path.stat() if path.exists() else path.lstat()  # a link may lead nowhere
        digest.update(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "semsynth" / "checked" / digest.hexdigest()


class PairDataset(Dataset[Batch]):
    """Checked pairs, read and transformed one at a time.

    Args:
        pairs: Image file and mask file of each sample.
        lookup: Class of each value on disk (256,); -1 where it has no meaning.
        transform: Brings image and mask to their size.
    """

    def __init__(self, pairs: Sequence[Pair], lookup: np.ndarray, transform: PairTransform) -> None:
        check_pairs(pairs, lookup)
        self.pairs = pairs
        self.lookup = torch.from_numpy(lookup)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        image_file, mask_file = self.pairs[index]
        with Image.open(image_file) as image, Image.open(mask_file) as mask:
            pixels, values = self.transform(image, mask)
        return {
            "image": pixels,
            "mask": self.lookup[values],
            "index": torch.tensor(index),
            "name": image_file.stem,
        }


class MaskDataset(Dataset[Batch]):
    """Masks without images, to synthesise from.

    Args:
        files: Mask files.
        lookup: Class of each value on disk (256,).
        image_size: Height and width that masks are resized to.
    """

    def __init__(
        self, files: Sequence[Path], lookup: np.ndarray, image_size: tuple[int, int]
    ) -> None:
        found = [problem_of_mask(file, lookup) for file in files]
        raise_problems([p for p in found if p], len(files))
        self.files = files
        self.lookup = torch.from_numpy(lookup)
        self.image_size = image_size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Batch:
        with Image.open(self.files[index]) as opened:
            values = resize_mask(opened, self.image_size)
        mask = self.lookup[torch.from_numpy(values)]
        return {"mask": mask, "index": torch.tensor(index), "name": self.files[index].stem}


class PairsOnDisk(SynthesisDataModule):
    """Data whose splits are pairs of files. Subclasses say which, in ``pairs``.

    Args:
        root: Directory of the data set.
        label_space: Meaning of the mask values.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        load_size: Training images are resized to this and cropped at random; no crop if not given.
        flip: Flip training samples with probability 0.5.
        batch_size: Training samples a process and step.
        eval_batch_size: Samples a process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        root: str,
        label_space: LabelSpace,
        image_size: int | tuple[int, int],
        load_size: int | tuple[int, int] | None,
        flip: bool,
        batch_size: int,
        eval_batch_size: int,
        num_workers: int,
    ) -> None:
        super().__init__(label_space, image_size, batch_size, eval_batch_size, num_workers)
        self.root = Path(root)
        self.load_size = None if load_size is None else height_and_width(load_size)
        self.flip = flip

    def pairs(self, split: Split) -> list[Pair]:
        """Image file and mask file of each sample of a split."""
        raise TypeError(f"{type(self).__name__} does not say which files a split holds.")

    def dataset(self, split: Split) -> Dataset[Batch]:
        """The pairs of a split; every file is read once before training starts."""
        training = split == "train"
        load_size = self.load_size if training else None
        transform = PairTransform(self.image_size, load_size, flip=training and self.flip)
        return PairDataset(self.pairs(split), self.lookup(), transform)
