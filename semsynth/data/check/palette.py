"""Conversion of colour label maps to class indices."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from semsynth.data.check.scan import COLOUR_MASK, NO_CLASS
from semsynth.data.decode import opened_image
from semsynth.data.errors import DataError, Problem
from semsynth.data.labels import LabelSpace
from semsynth.files import replaced

BACKUP_SUFFIX = ".colour"
WITHOUT_LABEL = (0, 0, 0)
"""Colour of pixels without a label, where no class has it."""


def convert_colour_masks(
    problems: Iterable[Problem], space: LabelSpace, lookup: np.ndarray
) -> tuple[list[Path], list[Problem]]:
    """Convert the colour label maps among bad files to indices; return reasons for the others."""
    values = values_of_colours(space, lookup)
    files = {p.file for p in problems if p.kind == COLOUR_MASK}
    files |= {p.file for p in problems if p.kind == NO_CLASS and _is_rgb(p.file)}  # one grey colour
    converted, failed = [], []
    for file in sorted(files):
        try:
            convert(file, values)
            converted.append(file)
        except DataError as error:
            failed.append(Problem(COLOUR_MASK, file, str(error)))
    return converted, failed


def values_of_colours(space: LabelSpace, lookup: np.ndarray) -> dict[tuple[int, int, int], int]:
    """Value on disk of each colour; a shared colour belongs to the first class."""
    value_of = {int(lookup[value]): value for value in range(255, -1, -1)}
    colours = (
        {WITHOUT_LABEL: value_of[space.ignore_index]} if space.ignore_index in value_of else {}
    )
    for label in reversed(range(space.num_classes)):
        if label in value_of:
            colours[space.palette[label]] = value_of[label]
    return colours


def convert(file: Path, values: dict[tuple[int, int, int], int]) -> None:
    """Replace a colour label map by an index PNG and keep the colours as ``NAME.png.colour``.

    A file with an unknown colour is left unchanged.
    """
    with opened_image(file) as opened:
        rgb = np.asarray(opened.convert("RGB")).astype(np.int32)
    packed = rgb @ (1 << 16, 1 << 8, 1)  # (H, W)
    known = {(r << 16) + (g << 8) + b: value for (r, g, b), value in values.items()}
    colours, inverse = np.unique(packed, return_inverse=True)
    strange = [int(c) for c in colours if int(c) not in known]
    if strange:
        raise DataError(_strange(file, packed, strange, values))
    table = np.array([known[int(c)] for c in colours], np.uint8)
    _replace(file, Image.fromarray(table[inverse].reshape(packed.shape)))


def _strange(
    file: Path, packed: np.ndarray, strange: list[int], values: dict[tuple[int, int, int], int]
) -> str:
    """Message about unknown colours, with the nearest known one."""
    colour = np.array([strange[0] >> 16, strange[0] >> 8 & 255, strange[0] & 255])
    palette = np.array(list(values))
    nearest = palette[np.abs(palette - colour).sum(1).argmin()]
    pixels = int((packed == strange[0]).sum())
    return (
        f"{file} has {len(strange)} colours without a class, such as {tuple(colour.tolist())} "
        f"in {pixels} pixels (nearest: {tuple(nearest.tolist())}); a label map must not be "
        "lossily compressed or smoothed. Fix the palette or the file."
    )


def _replace(file: Path, indices: Image.Image) -> None:
    """Replace a file atomically."""
    target, backup = file.with_suffix(".png"), file.with_name(file.name + BACKUP_SUFFIX)
    with replaced(target) as temporary:
        indices.save(temporary, "PNG")
        if not backup.exists():
            with replaced(backup) as copy:
                shutil.copy2(file, copy)
    if target != file:
        file.unlink()


def _is_rgb(file: Path) -> bool:
    with opened_image(file) as opened:
        return opened.mode in ("RGB", "RGBA")
