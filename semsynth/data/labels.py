"""Label spaces: meaning of label map values, on disk, in memory and in evaluation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import matplotlib.colors
import numpy as np
import torch
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.files import write_text

SPACES = Path(__file__).parent / "spaces"
UNKNOWN = "unknown"
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelSpace:
    """Meaning of the values of a label map.

    Attributes:
        names: Name of each class; its position is the value in the mask.
        palette: Colour of each class, RGB in 0..255.
        ignore_index: Value of pixels without a label; not a class.
        unknown: The class, if any, of unknown pixels. It has a channel in a one-hot layout, unlike
            ``ignore_index``.
        flip_pairs: Pairs of classes that mirroring swaps, as left and right eye.
        file_values: Class of each value on disk from 0, or ``ignore_index``; -1 for invalid values.
            By default files contain classes and ``ignore_index``.
        evaluation: The space in which scores are computed, if different.
        evaluation_classes: Class in ``evaluation`` of each class, or its ``ignore_index``.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int = 255
    unknown: int | None = None
    flip_pairs: tuple[tuple[int, int], ...] = ()
    file_values: tuple[int, ...] | None = None
    evaluation: Self | None = None
    evaluation_classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"A label space needs one colour for each class, got {len(self.names)} names and "
                f"{len(self.palette)} colours."
            )
        if self.evaluation is not None and len(self.evaluation_classes) != len(self.names):
            raise ValueError(
                f"A label space needs one evaluation class for each class, got {len(self.names)} "
                f"names and {len(self.evaluation_classes)} evaluation classes."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, without ``ignore_index``."""
        return len(self.names)

    def numbers(self, classes: Sequence[str | int]) -> list[int]:
        """Indices of classes given by name or index."""
        words = [str(c).strip() for c in classes]
        number_of = {str(i): i for i in range(self.num_classes)}
        number_of |= {name: i for i, name in enumerate(self.names)}
        if unknown := [word for word in words if word not in number_of]:
            known = ", ".join(self.names)
            raise DataError(f"There is no class {unknown[0]!r}; the classes are {known}.")
        return [number_of[word] for word in words]

    def lookup(self) -> np.ndarray:
        """Class of each value on disk (256,), int64; -1 for invalid values."""
        table = np.full(256, -1)
        if self.file_values is None:
            table[: self.num_classes] = np.arange(self.num_classes)
            table[self.ignore_index] = self.ignore_index
        else:
            table[: len(self.file_values)] = self.file_values
        return table

    def flip_lookup(self) -> np.ndarray:
        """Class of each class in the mirror (256,), int64; other values stay."""
        table = np.arange(256)
        for left, right in self.flip_pairs:
            table[[left, right]] = right, left
        return table

    def to_evaluation(self, mask: Tensor) -> Tensor:
        """Classes of the evaluation space, or its ``ignore_index``; any shape, int64."""
        if self.evaluation is None:
            return mask
        table = torch.full((256,), self.evaluation.ignore_index, device=mask.device)
        table[: self.num_classes] = torch.tensor(self.evaluation_classes, device=mask.device)
        return table[mask.long()]

    def with_unknown(self, first: bool = False) -> Self:
        """This space and a black class for unknown pixels, the first or last; scores ignore it."""
        classes = tuple(range(self.num_classes))
        names, palette = (UNKNOWN,), ((0, 0, 0),)
        return replace(
            self,
            names=names + self.names if first else self.names + names,
            palette=palette + self.palette if first else self.palette + palette,
            unknown=0 if first else self.num_classes,
            flip_pairs=tuple((a + first, b + first) for a, b in self.flip_pairs),
            evaluation=self,
            evaluation_classes=(self.ignore_index, *classes)
            if first
            else (*classes, self.ignore_index),
        )


def official_space(name: str) -> LabelSpace:
    """Names and colours of a published data set, from ``semsynth/data/spaces``."""
    return LabelSpace(*read_classes(SPACES / f"{name}.txt"))


def read_classes(file: Path) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """Names and colours from a file with one class per line: ``sky`` or ``sky #4682b4``."""
    lines = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    found = [re.fullmatch(r"(.+?)(?:\s+#([0-9a-fA-F]{6}))?", line) for line in lines]
    names = tuple(match[1] for match in found if match)
    colours = tuple(match[2] for match in found if match and match[2])
    if not names or len(colours) not in (0, len(names)):
        raise DataError(
            f"{file} gives colours for {len(colours)} of {len(names)} classes; write one class per "
            "line, all as 'sky' or all as 'sky #4682b4'."
        )
    if not colours:
        return names, distinct_palette(len(names))
    return names, tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in colours)


def write_classes(file: Path, names: Sequence[str], palette: Sequence[Colour]) -> None:
    """Write a file for ``read_classes``, with colours."""
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in palette]
    lines = [f"{name} {colour}\n" for name, colour in zip(names, colours, strict=True)]
    write_text(file, "".join(lines))


def distinct_palette(num_colours: int) -> tuple[Colour, ...]:
    """Colours distinct in hue, or in lightness if hues are close."""
    index = np.arange(num_colours)
    hue = index * 0.618034 % 1  # multiples of the golden ratio never repeat a hue
    value = np.array([0.95, 0.7, 0.5])[index % 3]
    saturation = np.array([0.85, 0.55])[index // 3 % 2]
    rgb = matplotlib.colors.hsv_to_rgb(np.stack([hue, saturation, value], axis=1))
    return tuple((int(r), int(g), int(b)) for r, g, b in (rgb * 255).round())
