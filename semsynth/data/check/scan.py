"""Scan of data files, for ``semsynth data``, training and prediction."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from semsynth.data.check.photo import other_orientation, scan_photo
from semsynth.data.decode import (
    METADATA,
    TOO_LARGE,
    ColourMaskError,
    UnknownColourError,
    UnreadableError,
    opened_image,
    read_labels,
    read_mask,
    size_as_shown,
)
from semsynth.data.errors import DataError, Problem
from semsynth.data.labels import Colour
from semsynth.data.pairs import Pair
from semsynth.data.pixels import Range
from semsynth.errors import require_processes

COLOUR_MASK = "colour mask"
LOSSY_MASK = "lossy mask"
NO_CLASS = "value without a class"
OTHER_SHAPE = "other shape"
EXCHANGED = "exchanged files"
UNREADABLE = (
    *("broken symlink", "missing file", "empty file", "not an image", "damaged file"),
    *(TOO_LARGE, METADATA),
)
PARTS_DIFFER = "parts of different sizes"

T = TypeVar("T")
R = TypeVar("R")
Size = tuple[int, int]


@dataclass(frozen=True)
class Scanned:
    """Result of a scan of one sample.

    Attributes:
        problems: Problems; empty for a good sample.
        image_size: Height and width of the photo, if it could be read.
        mask_size: Height and width of the label map, if it could be read.
        counts: Pixels of each class (256,), int64; zeros if the label map is bad.
        palette: Colour (r, g, b) of each value in a label map with a palette.
        extent: Lowest and highest value of a photo whose pixels have more than eight bits.
        warnings: What may be unintended.
        thumbnail: Fingerprint of the photo, as of ``thumbnail_of``.
    """

    problems: tuple[Problem, ...] = ()
    image_size: Size | None = None
    mask_size: Size | None = None
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    palette: dict[int, Colour] = field(default_factory=dict)
    extent: Range | None = None
    warnings: tuple[Problem, ...] = ()
    thumbnail: np.ndarray | None = None

    @property
    def good(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def scan(
    pairs: Sequence[Pair],
    lookup: np.ndarray,
    workers: int | None = None,
    read: Callable[[Pair, np.ndarray], Scanned] | None = None,
) -> list[Scanned]:
    """Scan samples in parallel, each by ``scan_pair`` or a cached ``read``."""
    one, title = read or scan_pair, f"Checking {len(pairs)} samples"
    return name_exchanged(in_threads(lambda pair: one(pair, lookup), pairs, title, workers))


def in_threads(
    function: Callable[[T], R], items: Sequence[T], title: str, workers: int | None = None
) -> list[R]:
    """Results in order of a function in threads; Pillow decodes and encodes in parallel."""
    require_processes(workers=workers)
    if not items:
        return []
    with ThreadPoolExecutor(workers) as pool:
        try:
            results = pool.map(function, items)
            console = Console(stderr=True)
            return list(track(results, title, len(items), transient=True, console=console))
        except BaseException:  # an interrupt too: cancel the rest
            pool.shutdown(cancel_futures=True)
            raise


def scan_pair(pair: Pair, lookup: np.ndarray) -> Scanned:
    """Read the files of one sample in full, and check their consistency."""
    seen = scan_labels(pair, lookup) if pair.labels else Scanned()
    if pair.image is not None:
        seen = _with_image(seen, pair, lookup)
    if pair.instance is not None:
        seen = _with_instance(seen, pair.instance)
    return seen


def scan_labels(pair: Pair, lookup: np.ndarray) -> Scanned:
    """Read the label map of a sample and look up its values."""
    try:
        values = read_labels(pair)
    except UnknownColourError as error:
        return Scanned((Problem(NO_CLASS, pair.labels[0], str(error)),))
    except DataError as error:
        bad = [p for file in pair.labels for p in _unreadable_map(file)]
        return Scanned(tuple(bad) or (Problem(PARTS_DIFFER, pair.labels[0], str(error)),))
    size = (values.shape[0], values.shape[1])
    found, pixels = count_values(values)
    problems = [*_lossy(pair.labels), *_without_class(pair.labels[0], found, lookup)]
    if problems:
        return Scanned(tuple(problems), mask_size=size)
    counts = np.bincount(lookup[found], pixels, minlength=256).astype(np.int64)
    holds_values = not (pair.part_classes or pair.colours)
    palette = _palette(pair.labels[0], found) if holds_values else {}
    return Scanned((), None, size, counts, palette)


def _palette(file: Path, found: np.ndarray) -> dict[int, Colour]:
    """Colours of values of a label map, from the palette of its file, which is not decoded."""
    with opened_image(file) as opened:
        kind, content = opened.palette.getdata() if opened.palette else ("", b"")
    colours = [content[3 * v : 3 * v + 3] for v in found.tolist()] if kind == "RGB" else []
    return {
        int(value): (colour[0], colour[1], colour[2])
        for value, colour in zip(found, colours, strict=False)
        if len(colour) == 3  # a palette may be too short
    }


def count_values(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The values of a map, and the number of pixels of each."""
    if values.dtype != torch.uint8:
        return np.unique(values.numpy(), return_counts=True)
    pixels = torch.bincount(values.flatten(), minlength=256).numpy()  # many times faster
    return np.flatnonzero(pixels), pixels[pixels > 0]


def _unreadable_map(file: Path) -> list[Problem]:
    """The reason why a label or instance map cannot be read, if any."""
    try:
        read_mask(file)
    except ColourMaskError as error:
        return [Problem(COLOUR_MASK, file, str(error))]
    except UnreadableError as error:
        return [Problem(error.kind, file, str(error))]
    return []


def _lossy(files: Iterable[Path]) -> list[Problem]:
    jpegs = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg")]
    text = "is a label map in JPEG, whose compression changes values; export it as PNG."
    return [Problem(LOSSY_MASK, file, f"{file} {text}") for file in jpegs]


def _without_class(file: Path, found: np.ndarray, lookup: np.ndarray) -> list[Problem]:
    outside = found[(found < 0) | (found > 255) | (lookup[found.clip(0, 255)] < 0)]
    if not len(outside):
        return []
    listed = ", ".join(map(str, outside[:5])) + (", ..." if len(outside) > 5 else "")
    text = (
        f"{file} has the value {listed}, which is not a class; expected "
        f"{describe_values(lookup)}. Map it to a class or to the value for unlabelled pixels: "
        f"semsynth data prepare folder --root ROOT --map {_example(outside, lookup)}"
    )
    return [Problem(NO_CLASS, file, text)]


def _example(outside: np.ndarray, lookup: np.ndarray) -> str:
    """A value map for an unexpected value; one above the last class is likely an offset."""
    last = int(np.flatnonzero(lookup[:255] >= 0)[-1])
    if outside.tolist() == [last + 1]:
        return f"0=255 1..{last + 1}=0..{last}, if 0 is unknown, or {last + 1}=255"
    return f"{outside[0]}=255"


def describe_values(lookup: np.ndarray) -> str:
    """The valid values of a label map, for a message: ``0 to 149 and 255``."""
    values = np.flatnonzero(lookup >= 0)
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return " and ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def _with_image(seen: Scanned, pair: Pair, lookup: np.ndarray) -> Scanned:
    """Read the photo as well; its shape must be that of the label map, at any scale."""
    assert pair.image is not None
    try:
        photo = scan_photo(pair.image)
    except UnreadableError as error:
        problem = Problem(error.kind, pair.image, str(error))
        return replace(seen, problems=(problem, *seen.problems))
    size, warnings = photo.size, photo.warnings
    if seen.mask_size is not None and not shape_differs(seen.mask_size, size):
        warnings += tuple(other_orientation(pair.image, photo.orientation, pair.labels[0]))
    seen = replace(
        seen,
        image_size=size,
        extent=photo.extent,
        warnings=warnings,
        thumbnail=photo.thumbnail,
    )
    kinds = {problem.kind for problem in seen.problems}
    as_labels = Pair(pair.name, None, (pair.image,))
    if photo.num_bands == 1 and COLOUR_MASK in kinds and scan_labels(as_labels, lookup).good:
        text = f"{pair.labels[0]} is a photo and {pair.image} its label map; exchange the files."
        return replace(seen, problems=(Problem(EXCHANGED, pair.labels[0], text),))
    if seen.mask_size is None or not shape_differs(seen.mask_size, size):
        return seen
    fits_unturned = photo.turned and not shape_differs(seen.mask_size, (size[1], size[0]))
    remedy = (
        "the photo's EXIF orientation rotates it, but not the label map; "
        "remove the orientation from the photo."
        if fits_unturned
        else "another shape; export it again."
    )
    return _with_other_shape(seen, pair.labels[0], seen.mask_size, str(pair.image), size, remedy)


def _with_instance(seen: Scanned, file: Path) -> Scanned:
    """Read the instance map as well; its shape must be that of the label map."""
    if unreadable := _unreadable_map(file):
        return replace(seen, problems=(*seen.problems, *unreadable))
    with opened_image(file) as opened:
        size = size_as_shown(opened)
    if seen.mask_size is None or not shape_differs(size, seen.mask_size):
        return seen
    remedy = "another shape; export it again."
    return _with_other_shape(seen, file, size, "its label map", seen.mask_size, remedy)


def shape_differs(a: Size, b: Size) -> bool:
    """Whether two sizes differ by more than a scale; CelebAMask-HQ has masks at half size.

    Sizes that nearly agree must agree: a row too few is a mistake, not a scale.
    """
    if all(0.9 < x / y < 1.1 for x, y in zip(a, b, strict=True)):
        return a != b
    return abs(a[0] * b[1] - a[1] * b[0]) > max(*a, *b)


def _with_other_shape(
    seen: Scanned, file: Path, size: Size, other: str, other_size: Size, remedy: str
) -> Scanned:
    text = f"{file} is {size[1]}x{size[0]} and {other} is {other_size[1]}x{other_size[0]}, {remedy}"
    return replace(seen, problems=(*seen.problems, Problem(OTHER_SHAPE, file, text)))


def name_exchanged(samples: Sequence[Scanned]) -> list[Scanned]:
    """Report pairs of label maps of wrong shapes that would fit if swapped.

    Swaps among photos of the same shape cannot be detected.
    """
    result = list(samples)
    waiting: dict[tuple[Size | None, Size | None], int] = {}
    for i, sample in enumerate(samples):
        if not any(problem.kind == OTHER_SHAPE for problem in sample.problems):
            continue
        j = waiting.pop((sample.mask_size, sample.image_size), None)
        if j is None:
            waiting[sample.image_size, sample.mask_size] = i
            continue
        result[i], result[j] = _exchanged(sample, samples[j]), _exchanged(samples[j], sample)
    return result


def _exchanged(this: Scanned, other: Scanned) -> Scanned:
    """Replace the problem with the shape of one sample."""
    mine, theirs = (
        next(p.file for p in sample.problems if p.kind == OTHER_SHAPE) for sample in (this, other)
    )
    text = f"{mine} does not fit its photo but would fit that of {theirs}; swap the two."
    kept = tuple(p for p in this.problems if p.kind != OTHER_SHAPE)
    return replace(this, problems=(*kept, Problem(EXCHANGED, mine, text)))


def problems_of(samples: Iterable[Scanned]) -> list[Problem]:
    """All problems of a scan."""
    return [problem for sample in samples for problem in sample.problems]


def warnings_of(samples: Iterable[Scanned]) -> list[Problem]:
    """All warnings of a scan."""
    return [warning for sample in samples for warning in sample.warnings]


def cache_directory() -> Path:
    """Directory of cached scans: ``~/.cache/semsynth``."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "semsynth"


def digest_of(pairs: Sequence[Pair], lookup: np.ndarray) -> str:
    """A cache key that changes with any file of the samples."""
    digest = hashlib.sha256(lookup.tobytes())
    for path in (p for pair in pairs for p in pair.files):
        status = path.stat() if path.exists() else None  # missing files are reported later
        facts = (status.st_size, status.st_mtime_ns) if status else "missing"
        digest.update(f"{os.path.realpath(path)} {facts}\n".encode())  # takes loops of links
    return digest.hexdigest()
