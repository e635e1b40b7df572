"""A folder of photos and label maps, converted to one that training reads as it is."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semsynth.data.check.scan import in_threads
from semsynth.data.check.splits import list_splits
from semsynth.data.decode import opened_image, read_image, read_mask
from semsynth.data.errors import DataError, Problem
from semsynth.data.folder import Folder
from semsynth.data.pairs import Pair
from semsynth.data.pixels import Range, is_deep
from semsynth.files import link, write_text
from semsynth.images import save_mask, save_png

UNCONVERTED = "not converted"
RULE = re.compile(r"(\d+)(?:\.\.(\d+))?=(\d+)(?:\.\.(\d+))?")


def parse_value_map(rules: Sequence[str]) -> dict[int, int]:
    """New value of each value by rules such as ``255=1``, ``4..9=2`` and ``1..150=0..149``."""
    values: dict[int, int] = {}
    for rule in rules:
        if (found := RULE.fullmatch(rule)) is None:
            raise DataError(_invalid(rule))
        first, new = int(found[1]), int(found[3])
        last, end = int(found[2] or first), int(found[4] or new)
        if last < first or end not in (new, new + last - first) or max(new, end) > 255:
            raise DataError(_invalid(rule))
        step = 1 if end > new else 0
        values |= {old: new + step * (old - first) for old in range(first, last + 1)}
    return values


def _invalid(rule: str) -> str:
    return (
        f"--map {rule} is not VALUE=CLASS, such as 255=1, nor runs of equal length, such as "
        "1..150=0..149; classes end at 254, and 255 is unlabelled."
    )


def convert(
    data: Folder, output: Path, values: Mapping[int, int], workers: int | None = None
) -> list[Problem]:
    """Write a folder with other values in its label maps, and photos of eight bits.

    Each split is renamed when it is complete. Photos of eight bits are linked, or copied to another
    disk; others become PNG files by ``data.range``.

    Args:
        data: The folder.
        output: The new root; none of the splits may exist in it.
        values: New value of each value; others stay.
        workers: Threads; by default a few more than cores.

    Returns:
        Problems; if there are any, the splits with them are not written.
    """
    report = list_splits(data)
    for split in report.splits:
        if (output / split.names[0]).exists():
            raise DataError(
                f"{output / split.names[0]} already exists; choose another --output, or remove it."
            )
    for split in () if report.problems else report.splits:
        unfinished = output / f".{split.names[0]}.part"

        def write(pair: Pair, folder: Path = unfinished) -> list[Problem]:
            return _convert_pair(pair, folder, values, data.range)

        found = in_threads(write, split.pairs, f"Converting {split.title}", workers)
        report.add([problem for of_one in found for problem in of_one])
        if not report.problems:
            unfinished.replace(output / split.names[0])
    classes = data.root / "classes.txt"
    if classes.is_file() and not (output / classes.name).exists():
        write_text(output / classes.name, classes.read_text())
    return report.problems


def _convert_pair(
    pair: Pair, folder: Path, values: Mapping[int, int], value_range: Range | None
) -> list[Problem]:
    """Write the two files of a sample."""
    image, label = pair.image, pair.labels[0]
    assert image is not None
    try:
        mask = mapped(read_mask(label), values)
        with opened_image(image) as opened:
            deep = is_deep(opened)
        photo = read_image(image, value_range=value_range) if deep else None
    except DataError as error:
        return [Problem(UNCONVERTED, label, f"{label}: {error}")]
    save_mask(mask, folder / "labels" / f"{pair.name}.png")
    if photo is None:
        link(image, folder / "images" / image.name)
    else:
        save_png(photo, folder / "images" / f"{pair.name}.png")
    return []


def mapped(mask: Tensor, values: Mapping[int, int]) -> Tensor:
    """A label map with new values, of the same shape; uint8."""
    found, inverse = np.unique(mask.numpy(), return_inverse=True)
    new = [values.get(value, value) for value in found.tolist()]
    if strange := [value for value in new if not 0 <= value <= 255]:
        raise DataError(f"the value {strange[0]} needs a rule, such as --map {strange[0]}=255.")
    return torch.from_numpy(np.array(new, np.uint8)[inverse].reshape(mask.shape))
