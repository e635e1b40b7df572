"""Few labelled samples of a split: by listed names, or by a seed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, default_collate

from semsynth.data.errors import DataError

Shots = int | list[int | str] | str | None
"""Number of labelled samples, their names, or a file with one name per line; None for all."""

EPOCH = 1000
"""Batches per epoch of a training on shots alone."""

MOST_SHOTS = 256
"""Maximum number of labelled samples, which are all in memory."""


class Numbers(Dataset[dict[str, Any]]):
    """Samples with nothing but an ``index``."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"index": torch.tensor(index)}


def collate_shots(dataset: Dataset[dict[str, Any]], ids: Sequence[int]) -> dict[str, Any]:
    """The labelled samples, at positions ``ids`` of the training samples, as one batch."""
    if len(ids) > MOST_SHOTS:
        raise DataError(
            f"The method learns from few labelled samples, but {len(ids)} have labels; limit "
            f"them with data.shots, to at most {MOST_SHOTS}."
        )
    return default_collate([dataset[i] for i in ids])


def choose_shots(
    shots: Shots, names: Sequence[str], seed: int | None = None, listed: Sequence[str] = ()
) -> list[int]:
    """Positions in ``names`` of the samples whose labels may be used, in the order of the choice.

    A smaller choice is a subset of every larger one. It does not depend on the order of the names,
    and hardly on the other names. Without a seed the ``listed`` names of a paper come first.
    """
    position = {name: i for i, name in enumerate(names)}
    if isinstance(shots, int):
        if not 1 <= shots <= len(names):
            raise DataError(
                f"shots is {shots}, but the training split has {len(names)} samples; choose a "
                f"number from 1 to {len(names)}."
            )
        first = [name for name in listed if name in position] if seed is None else []
        ranked = sorted(position.keys() - set(first), key=lambda name: _rank(name, seed or 0))
        return [position[name] for name in [*first, *ranked][:shots]]
    chosen = read_names(Path(shots)) if isinstance(shots, str) else [str(s) for s in shots or ()]
    for i, name in enumerate(chosen):
        if name not in position or name in chosen[:i]:
            problem = "is given twice" if name in position else "is not in the training split"
            raise DataError(
                f"shots: {name!r} {problem}; names are those of files without suffix, such as "
                f"{next(iter(names), '')!r}."
            )
    if not chosen:
        raise DataError("shots is empty; give names, or omit it to use all.")
    return [position[name] for name in chosen]


def read_names(file: Path) -> list[str]:
    """Names from a file with one per line."""
    if not file.is_file():
        raise DataError(f"There is no file {file} with the names of the shots, one per line.")
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
