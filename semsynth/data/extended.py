"""Few labelled samples and an exported data set, mixed in each batch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from semsynth.data.base import Batch, Mapped, Split, SynthesisDataModule
from semsynth.data.errors import DataError
from semsynth.data.folder import Folder
from semsynth.data.labels import read_classes


class Extended(SynthesisDataModule):
    """Labelled data extended by those of ``semsynth export``; evaluated on the former.

    An epoch has a fixed number of samples, each drawn from the labelled or the exported ones.

    Args:
        labelled: The labelled data, which define the classes, the shots, ``val`` and ``test``.
        exported: Directory of the exported data set, if any.
        share: Share of the labelled samples in training; 1 without exported ones, 0 for only these.
        epoch_size: Samples of an epoch.
        batch_size: Training samples per process and step.
    """

    def __init__(
        self,
        labelled: SynthesisDataModule,
        exported: str | None = None,
        share: float = 0.5,
        epoch_size: int = 1024,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            labelled.label_space,
            labelled.image_size,
            batch_size,
            labelled.eval_batch_size,
            labelled.num_workers,
        )
        if not 0 <= share <= 1 or (exported is None and share < 1):
            raise DataError(
                f"share is {share} and exported is {exported}; the share of labelled samples must "
                "be in [0, 1], and without exported data it is 1."
            )
        self.labelled, self.share, self.epoch_size = labelled, share, epoch_size
        self.exported = None if exported is None else self._open(exported)

    @property
    def measured_on(self) -> str:
        """Data of the scores: the labelled ones."""
        return type(self.labelled).__name__

    def names(self, split: Split) -> Sequence[str]:
        """Names of the labelled samples, then of the exported ones."""
        names = list(self.labelled.names(split))
        if split != "train" or self.exported is None:
            return names
        return names + [f"exported/{name}" for name in self.exported.names("train")]

    def dataset(self, split: Split) -> Dataset[Batch]:
        """The labelled samples, and in training the exported ones after them."""
        own = self.labelled.dataset(split)
        if split != "train" or self.exported is None:
            return Mapped(own, as_bytes) if split == "train" else own
        both = (own, self.exported.dataset("train"))
        return ConcatDataset([Mapped(dataset, as_bytes) for dataset in both])

    def check(self, split: Split, ids: Sequence[int], labels: bool = True) -> None:
        """Read the files of both once."""
        count = len(self.labelled.names(split))
        self.labelled.check(split, [i for i in ids if i < count], labels)
        if self.exported is not None and (others := [i - count for i in ids if i >= count]):
            self.exported.check("train", others, labels)

    def training_order(self, generator: torch.Generator) -> Tensor:
        """Positions (epoch_size,) of the samples of an epoch; each pool is sampled evenly."""
        count = len(self.labelled.names("train"))
        own = torch.tensor(self.train_ids)
        pools = [own[own < count], own[own >= count]]
        from_own = torch.rand(self.epoch_size, generator=generator) < self.share
        order = torch.empty(self.epoch_size, dtype=torch.int64)
        for chosen, pool in zip((from_own, ~from_own), pools, strict=True):
            wanted = int(chosen.sum())
            rounds = -(-wanted // max(1, len(pool)))
            drawn = [pool[torch.randperm(len(pool), generator=generator)] for _ in range(rounds)]
            order[chosen] = torch.cat([pool[:0], *drawn])[:wanted]
        return order

    def _choose(self, names: Sequence[str]) -> list[int]:
        """The shots of the labelled data, and all exported samples."""
        count = len(self.labelled.names("train"))
        self.labelled.trainer = self.trainer
        shots = self.labelled._choose(names[:count]) if self.share else []
        self.unlabelled_ids = self.labelled.unlabelled_ids
        self.train_ids = [*shots, *range(count, len(names))]
        return self.train_ids

    def _open(self, root: str) -> Folder:
        file = Path(root) / "classes.txt"
        if not file.is_file():
            raise DataError(f"There is no {file}; pass a directory that `semsynth export` wrote.")
        names = read_classes(file)[0]
        if names != self.label_space.names:
            raise DataError(
                f"{file} has the classes {', '.join(names)}, but the labelled data have "
                f"{', '.join(self.label_space.names)}; export with a model of these data."
            )
        return Folder(root, len(names), image_size=self.image_size, flip=False)


def as_bytes(sample: Batch) -> Batch:
    """Only image, mask and position, in bytes, so that two data sets share a batch."""
    image = sample["image"]
    if image.is_floating_point():
        image = image.add(1).mul(127.5).round().clamp(0, 255).byte()
    return {
        "image": image,
        "mask": sample["mask"].byte(),
        "index": torch.as_tensor(sample["index"]),
    }
