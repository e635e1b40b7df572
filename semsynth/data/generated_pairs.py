"""Pairs of images with known motion for layout editing: seeds to render them from, or a cache."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch.utils.data import Dataset

from semsynth.data.base import Batch, Split, SynthesisDataModule
from semsynth.data.errors import DataError
from semsynth.data.labels import LabelSpace
from semsynth.data.sampling import SeededIndex
from semsynth.files import read_json

CHUNK = 64
"""Pairs per file of the cache; the last may have fewer."""


class Seeds(Dataset[Batch]):
    """Samples that consist of a seed, different in each split.

    With ``SeededIndex`` a sample gets a new seed in each epoch, otherwise always the same.
    """

    def __init__(self, size: int, split: Split) -> None:
        self.size = size
        self.split = split

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Batch:
        return {"index": int(index), "seed": seed_of(index, self.split)}


class PairFiles(Dataset[Batch]):
    """The pairs in the directory that ``semsynth pairs`` wrote."""

    def __init__(self, root: Path, size: int) -> None:
        self.root = root
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Batch:
        file, row = opened(chunk_path(self.root, index // CHUNK)), index % CHUNK
        pair = {key: file.get_slice(key)[row] for key in file.keys()}  # noqa: SIM118
        halves = {k: v.float() for k, v in pair.items() if v.dtype == torch.float16}
        return {**pair, **halves, "index": int(index), "seed": seed_of(index, "train")}


class GeneratedPairs(SynthesisDataModule):
    """Seeds (B,) in ``seed``, from which the method renders its training pairs.

    Nothing is stored, and no two epochs have a pair in common. Validation and test pairs are fixed.

    Args:
        train_size: Pairs per epoch.
        val_size: Number of validation pairs.
        test_size: Number of test pairs.
        batch_size: Training pairs per process and step.
        eval_batch_size: Pairs per process and step in validation, test and prediction.
        num_workers: Loader processes; seeds need none.
    """

    def __init__(
        self,
        train_size: int = 65536,
        val_size: int = 256,
        test_size: int = 1024,
        batch_size: int = 16,
        eval_batch_size: int = 16,
        num_workers: int = 0,
    ) -> None:
        nothing = LabelSpace((), ())
        super().__init__(nothing, 256, batch_size, eval_batch_size, num_workers)
        self.sizes: dict[Split, int] = {"train": train_size, "val": val_size, "test": test_size}

    def dataset(self, split: Split) -> Dataset[Batch]:
        """The seeds of a split."""
        return Seeds(self.sizes[split], split)


class CachedPairs(GeneratedPairs):
    """Pairs that ``semsynth pairs`` wrote, and seeds of pairs for validation and test.

    A batch also has ``origin``, how the pairs were made, and ``scale`` (3,), the root mean squares
    of their flow, (x, y), and log expansion.

    Args:
        root: Directory of the cache.
        num_workers: Loader processes; 0 reads in the training process.
    """

    def __init__(self, root: str, num_workers: int = 2, **kwargs: Any) -> None:
        super().__init__(train_size=0, num_workers=num_workers, **kwargs)
        self.root = Path(root)
        self.card: dict[str, Any] = {}

    def dataset(self, split: Split) -> Dataset[Batch]:
        """The pairs of the cache, or the seeds of another split."""
        if split != "train":
            return super().dataset(split)
        self.card = read_pairs_card(self.root)
        return PairFiles(self.root, self.card["num"])

    def check(self, split: Split, ids: Sequence[int], labels: bool = True) -> None:
        """Open every file of the cache once."""
        if split == "train":
            for chunk in range(-(-self.card["num"] // CHUNK)):
                opened(chunk_path(self.root, chunk))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Add the origin of cached pairs."""
        if "w_target" in batch:
            card = self.card
            scale = [card["sigma_flow"], card["sigma_flow"], card["sigma_expansion"]]
            batch = {**batch, "origin": card["origin"], "scale": torch.tensor(scale)}
        return super().on_after_batch_transfer(batch, dataloader_idx)


def seed_of(index: int, split: Split) -> int:
    """Seed of a sample, an int64: that of its index, or one that its split fixes."""
    if isinstance(index, SeededIndex):
        seed = index.seed
    else:
        entropy = (("train", "val", "test").index(split), int(index))
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
    return seed - (1 << 64) if seed >= 1 << 63 else seed


def chunk_path(root: Path, chunk: int) -> Path:
    """File of a chunk of a cache."""
    return root / f"pairs_{chunk:06d}.safetensors"


def read_pairs_card(root: Path) -> dict[str, Any]:
    """How the pairs of a complete cache were made."""
    file = root / "card.json"
    if not file.is_file():
        raise DataError(f"{root} has no pairs: there is no {file}. Write them with semsynth pairs.")
    card: dict[str, Any] = read_json(file)
    if not isinstance(card, dict) or not isinstance(card.get("num"), int):
        raise DataError(f"{file} does not describe pairs. Write them again with semsynth pairs.")
    if not all(isinstance(card.get(key), float) for key in ("sigma_flow", "sigma_expansion")):
        raise DataError(
            f"The pairs in {root} are incomplete; rerun the commands that write them:\n"
            f"  {card.get('command', 'semsynth pairs')}"
        )
    return card


@lru_cache(maxsize=1024)
def opened(path: Path) -> Any:
    """A file of pairs, open for reading."""
    try:
        return safe_open(path, "pt").__enter__()  # type: ignore[no-untyped-call]  # stays open
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete and rewrite it.") from error
