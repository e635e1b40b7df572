"""Scores of folders of images, by the same metrics as in training."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from semsynth.data import DataError
from semsynth.data.check.sets import check_pairs
from semsynth.data.decode import opened_image, read_image, read_mask, size_as_shown
from semsynth.data.pairs import Pair, folders_of_images, image_files, list_images
from semsynth.data.transforms import resize_image, resize_map
from semsynth.images import from_uint8
from semsynth.metrics import ImageMetric
from semsynth.metrics.base import card_of
from semsynth.metrics.census import Census
from semsynth.metrics.protocol import Card, installed_versions, unused

Size = tuple[int, int]  # height and width


class Folders(NamedTuple):
    """Real images, samples and label maps by stem."""

    real: Mapping[str, Path]
    fakes: Mapping[str, Sequence[Path]]
    masks: Mapping[str, Path]


def open_folders(real: Path, fake: Path, masks: Path | None) -> Folders:
    """List the files of the directories, and check masks."""
    real_files = list_images(real)
    mask_files = list_images(masks) if masks is not None else {}
    pairs = [Pair(stem, None, (file,)) for stem, file in mask_files.items()]
    check_pairs(pairs, np.arange(256))
    return Folders(real_files, find_samples(fake, {**real_files, **mask_files}), mask_files)


def find_samples(directory: Path, stems: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Generated images by the mask that they were made from.

    Several samples of the mask ``STEM`` are the images of a folder ``STEM``, or files ``STEM_0``,
    ``STEM_1`` and so on. A file that is not named after a mask is a single sample. A single folder
    that is not is taken for the directory.
    """
    folders = folders_of_images(directory) if directory.is_dir() else []
    if folders and not image_files(directory):
        if len(folders) == 1 and folders[0].name not in stems:
            return find_samples(folders[0], stems)
        return {folder.name: by_number(list_images(folder)) for folder in folders}
    samples: dict[str, dict[str, Path]] = {}
    for stem, file in list_images(directory).items():
        mask = re.sub(r"_\d+$", "", stem)
        owner = mask if stem not in stems and mask in stems else stem
        samples.setdefault(owner, {})[stem] = file
    return {owner: by_number(files) for owner, files in samples.items()}


def by_number(files: Mapping[str, Path]) -> list[Path]:
    """Files in the order of the numbers at the end of their stems: 2 before 10."""
    parts = ((re.search(r"(\d+)$", stem), stem) for stem in files)
    order = sorted((int(found[1]) if found else -1, stem) for found, stem in parts)
    return [files[stem] for _, stem in order]


@torch.no_grad()
def evaluate(
    folders: Folders, metrics: Sequence[ImageMetric], device: torch.device, batch_size: int = 32
) -> tuple[dict[str, float], Card]:
    """Scores of generated images, and the protocol card.

    Distances between sets compare all real images with the first sample of each mask. All others
    compare a mask's samples with each other, with the mask, or with its real image; masks and real
    images are resized to the samples, by nearest neighbour and bicubic interpolation.
    """
    census = Census().to(device)
    for metric in metrics:
        metric.to(device)
    of_sets = [metric for metric in metrics if compares_sets(metric)]
    of_pairs = [metric for metric in metrics if not compares_sets(metric)]
    require_partners(folders, of_pairs)
    with ThreadPoolExecutor() as pool:
        if of_sets:
            _measure_sets(folders, of_sets, census, device, batch_size, pool)
        if of_pairs:
            _measure_pairs(folders, of_pairs, census, device, batch_size, pool, not of_sets)
    counts = sorted({len(files) for files in folders.fakes.values()})
    num_samples = counts[0] if len(counts) == 1 else counts
    scores: dict[str, float] = {}
    cards: Card = {}
    for metric in metrics:
        values = {name: float(value) for name, value in metric.compute().items()}
        scores |= values
        cards |= dict.fromkeys(values, card_of(metric, num_samples))
    caveats = [caveat for metric in metrics for caveat in metric.caveats]
    if any("image" in metric.wants for metric in metrics):
        caveats += caveats_of_files(folders)
    caveats += unused_files(folders, of_sets, of_pairs)
    card = {"data": "files", **census.compute(), "metrics": cards, "caveats": caveats}
    return scores, card | {"versions": installed_versions()}


def caveats_of_files(folders: Folders) -> list[str]:
    """Differences between real and generated files that affect scores, one line each."""
    real = kinds_of(folders.real.values())
    fake = kinds_of(files[0] for files in folders.fakes.values())
    found = []
    if real.formats != fake.formats:
        found.append(
            f"Real images are {' and '.join(real.formats)}, generated ones "
            f"{' and '.join(fake.formats)}: the scores include compression artefacts of one "
            "side; save both in the same format."
        )
    if real.sizes != fake.sizes:
        found.append(
            f"Real images are {real.size}, generated ones {fake.size}: the scores include what "
            "resizing changes; resize both to the same size first."
        )
    return found


class Kinds(NamedTuple):
    """Formats and sizes of some image files, sorted."""

    formats: list[str]
    sizes: list[Size]

    @property
    def size(self) -> str:
        """Height and width, or the number of sizes."""
        many = f"of {len(self.sizes)} sizes"
        return "x".join(map(str, self.sizes[0])) if len(self.sizes) == 1 else many


def kinds_of(files: Iterable[Path]) -> Kinds:
    """Formats and sizes of image files, from their headers."""
    formats, sizes = set(), set()
    for file in files:
        with opened_image(file) as opened:
            formats.add(str(opened.format))
            sizes.add(size_as_shown(opened))
    return Kinds(sorted(formats), sorted(sizes))


def compares_sets(metric: ImageMetric) -> bool:
    """Whether a metric compares unpaired sets of real and generated images."""
    return metric.wants <= {"image", "fake"}


def unused_files(
    folders: Folders, of_sets: Sequence[ImageMetric], of_pairs: Sequence[ImageMetric]
) -> list[str]:
    """How many files were used, if not all, one line for each kind."""
    wants = set().union(*(metric.wants for metric in of_pairs))
    count, fakes = len(folders.fakes), [f for files in folders.fakes.values() for f in files]
    lines = unused(folders.masks, count, "label maps") if "mask" in wants else []
    if of_sets:
        return lines + unused(
            fakes, count, "generated images, the first of each mask, in distances"
        )
    return lines + (unused(folders.real, count, "real images") if "image" in wants else [])


def require_partners(folders: Folders, of_pairs: Sequence[ImageMetric]) -> None:
    """Raise a DataError if a sample lacks what a metric compares it with."""
    for metric in of_pairs:
        name, wants = type(metric).__name__, metric.wants
        if "fakes" in wants and min(map(len, folders.fakes.values())) < 2:
            stem = min(folders.fakes, key=lambda stem: len(folders.fakes[stem]))
            raise DataError(
                f"{name} compares several images of one mask, but {stem} has only one. Put them "
                f"into folders named after their masks, or name them {stem}_0, {stem}_1 and "
                "so on."
            )
        for what, files in (("mask", folders.masks), ("image", folders.real)):
            lacking = sorted(folders.fakes.keys() - files.keys()) if what in wants else []
            if lacking and not files:
                raise DataError(f"{name} needs masks; give their directory with --masks.")
            if lacking:
                where = next(iter(files.values())).parent
                raise DataError(
                    f"{name} needs the {'real ' * (what == 'image')}{what} of each sample, and "
                    f"{len(lacking)} of {len(folders.fakes)} lack it: there is no "
                    f"{where / lacking[0]}.* for {folders.fakes[lacking[0]][0]}. Files are "
                    "matched by stem."
                )


def _measure_sets(
    folders: Folders,
    metrics: Sequence[ImageMetric],
    census: Census,
    device: torch.device,
    batch_size: int,
    pool: ThreadPoolExecutor,
) -> None:
    """Iterate over both sets in parallel; their lengths may differ."""
    real = batches(list(folders.real.values()), batch_size)
    fake = batches([files[0] for files in folders.fakes.values()], batch_size)
    nothing: Sequence[Path] = ()
    for real_files, fake_files in zip_longest(real, fake, fillvalue=nothing):
        image = read_images(real_files, pool).to(device)
        fakes = read_images(fake_files, pool).to(device)
        census.update(fake=fakes if len(fakes) else None, image=image)
        for metric in metrics:
            metric.update(image=image, fake=fakes)


def _measure_pairs(
    folders: Folders,
    metrics: Sequence[ImageMetric],
    census: Census,
    device: torch.device,
    batch_size: int,
    pool: ThreadPoolExecutor,
    count_images: bool,
) -> None:
    """Iterate over the masks, batched by size and number of samples."""
    wants = set().union(*(metric.wants for metric in metrics))
    shapes: dict[tuple[Size, int], list[str]] = {}
    for stem, files in folders.fakes.items():
        shapes.setdefault((size_of(files[0]), len(files)), []).append(stem)
    for (size, count), stems in shapes.items():
        for start in range(0, len(stems), batch_size):
            some = stems[start : start + batch_size]
            files = [file for stem in some for file in folders.fakes[stem]]
            fakes = read_images(files, pool, size).unflatten(0, (len(some), count)).to(device)
            inputs: dict[str, Any] = {"fakes": fakes, "fake": fakes[:, 0]}
            inputs["reconstruction"] = inputs["fake"]
            if "image" in wants:
                real_files = [folders.real[stem] for stem in some]
                inputs["image"] = read_images(real_files, pool, size).to(device)
            if "mask" in wants:
                inputs["mask"] = read_masks([folders.masks[s] for s in some], size).to(device)
            counted = ("fake", "image", "mask") if count_images else ("mask",)
            census.update(**{key: inputs[key] for key in counted if key in inputs})
            for metric in metrics:
                metric.update(**{key: inputs[key] for key in metric.wants})


def batches(files: Sequence[Path], batch_size: int) -> Iterator[Sequence[Path]]:
    """Files in batches of equal image size."""
    sizes: dict[Size, list[Path]] = {}
    for file in files:
        sizes.setdefault(size_of(file), []).append(file)
    for some in sizes.values():
        for start in range(0, len(some), batch_size):
            yield some[start : start + batch_size]


def size_of(file: Path) -> Size:
    """Height and width of an image file, from its header."""
    with opened_image(file) as opened:
        return size_as_shown(opened)


def read_images(
    files: Sequence[Path], pool: ThreadPoolExecutor, size: Size | None = None
) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1], resized to a height and width, bicubic, if given."""
    if not files:
        return torch.empty(0, 3, 299, 299)  # a size that every network takes

    def read(file: Path) -> Tensor:
        image = read_image(file)
        return image if size is None else resize_image(image, size)

    return from_uint8(torch.stack(list(pool.map(read, files))))


def read_masks(files: Sequence[Path], size: Size) -> Tensor:
    """Label maps (B, H, W), int64, resized by nearest neighbour."""
    return torch.stack([resize_map(read_mask(file), size).long() for file in files])
