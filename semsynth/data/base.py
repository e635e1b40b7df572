"""What all data modules share: the batch, few labels, and loaders that are right under DDP."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from semsynth.data.errors import DataError
from semsynth.data.labels import LabelSpace
from semsynth.data.sampling import ShardSampler, TrainSampler
from semsynth.data.shots import EPOCH, Numbers, Shots, choose_shots, collate_shots, read_names
from semsynth.data.tolerant import OnBadFile, SkipCount, Tolerant
from semsynth.errors import require_not_negative, require_positive, require_processes
from semsynth.files import write_text

Split = Literal["train", "val", "test"]
ImageSize = int | tuple[int, int]
Batch = dict[str, Any]
"""``image`` (B, 3, H, W) float in [-1, 1], ``mask`` (B, H, W) int64, ``index`` (B,) int64, the id
of the sample in its split. Where the data have them: ``name``; ``instance`` (B, H, W) int64 with
``edge`` (B, H, W) bool, its outlines; ``loss_mask`` (B, H, W) float in (0, 1]; ``w_plus`` (B,
num_ws, w_dim); ``full_mask`` (B, H, W) int64, the dense mask for evaluation if ``mask`` is sparse.
A method that trains on shots gets ``index`` and ``shots``, a batch of all labelled samples. Loaders
yield compact integers; ``on_after_batch_transfer`` converts them to this on the device."""

MAPS = ("mask", "full_mask", "instance")
LABELS = (*MAPS, "loss_mask", "w_plus")
SPLITS_OF: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("test",),
}
"""Splits that each stage of the trainer reads."""


class Archives(NamedTuple):
    """Official page of a data set and the names of its archives; nothing is downloaded."""

    page: str
    files: tuple[str, ...]


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """A size given as one number or two."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class Mapped(Dataset[Batch]):
    """A data set with a function applied to each sample."""

    def __init__(self, dataset: Dataset[Batch], change: Callable[[Batch], Batch]) -> None:
        self.dataset, self.change = dataset, change

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Batch:
        return self.change(self.dataset[index])


def without_labels(sample: Batch) -> Batch:
    """A sample without its labels and codes."""
    return {key: value for key, value in sample.items() if key not in LABELS}


class SynthesisDataModule(LightningDataModule):
    """Pairs of image and mask. Subclasses define the splits in ``dataset``.

    Args:
        label_space: Meaning of the mask values.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        batch_size: Training samples per process and step.
        eval_batch_size: Samples per process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
        shots: Number of labelled training samples (those of the papers, where known), their names,
            or a file with one name per line; by default all.
        shots_seed: Choose the shots by this seed instead.
    """

    ARCHIVES: ClassVar[Archives | None] = None
    EXPECTED: ClassVar[dict[Split, int]] = {}
    """Number of samples in the published splits."""
    PAPER_SHOTS: ClassVar[tuple[str, ...]] = ()
    """Names of the training samples that few-shot papers use, in their order."""

    def __init__(
        self,
        label_space: LabelSpace,
        image_size: ImageSize = 256,
        batch_size: int = 4,
        eval_batch_size: int = 8,
        num_workers: int = 2,
        shots: Shots = None,
        shots_seed: int | None = None,
    ) -> None:
        super().__init__()
        self.label_space = label_space
        self.image_size = height_and_width(image_size)
        height, width = self.image_size
        require_positive(
            image_height=height,
            image_width=width,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
        )
        require_not_negative(num_workers=num_workers)
        require_processes(num_workers=num_workers)
        self.shots = shots
        self.shots_seed = shots_seed
        self.on_bad_file: OnBadFile = "stop"
        self.skipped = SkipCount()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.train_ids: list[int] = []
        """Positions of the training samples whose labels are used."""
        self.unlabelled_ids: list[int] = []
        """Positions of the others."""
        self._datasets: dict[Split, Dataset[Batch]] = {}
        self._shots: Batch | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes of the masks."""
        return self.label_space.num_classes

    def lookup(self) -> np.ndarray:
        """Class of each value of the masks on disk (256,), int64; -1 for invalid values."""
        return self.label_space.lookup()

    def names(self, split: Split) -> Sequence[str]:
        """Unique name of each sample of a split; by default its position."""
        dataset: Any = self.dataset(split)
        return [str(i) for i in range(len(dataset))]

    def dataset(self, split: Split) -> Dataset[Batch]:
        """All samples of a split, a map-style data set of unbatched ``Batch`` items."""
        raise TypeError(f"{type(self).__name__} does not implement dataset.")

    def unlabelled_dataset(self) -> Dataset[Batch]:
        """All training samples, without labels."""
        return Mapped(self.dataset("train"), without_labels)

    def check(self, split: Split, ids: Sequence[int], labels: bool = True) -> None:
        """Raise a ``DataError`` if files of samples are bad, before any work is lost."""

    def training_order(self, generator: torch.Generator) -> Tensor:
        """Positions (N,), int64, of the samples of an epoch in their order."""
        return _shuffled(self.train_ids, generator)

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs: ``fit``, ``validate``, ``test`` or ``predict``."""
        for split in SPLITS_OF[stage]:
            if split not in self._datasets:
                names = self.names(split)
                ids = self._choose(names) if split == "train" else range(len(names))
                self.check(split, ids)
                self._datasets[split] = self.dataset(split)

    def _choose(self, names: Sequence[str]) -> list[int]:
        """Choose the training samples whose labels are used, once per run."""
        if self.shots is None:
            self.train_ids = list(range(len(names)))
            return self.train_ids
        shots, trainer = self.shots, self.trainer
        record = Path(trainer.default_root_dir if trainer else "", "splits", "train.txt")
        if trainer and trainer.ckpt_path and record.is_file():
            shots = list(read_names(record))  # a resumed run keeps its samples
        self.train_ids = choose_shots(shots, names, self.shots_seed, self.PAPER_SHOTS)
        self.unlabelled_ids = sorted(set(range(len(names))) - set(self.train_ids))
        if trainer and trainer.is_global_zero:
            write_text(record, "".join(f"{names[i]}\n" for i in self.train_ids))
        return self.train_ids

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches; the last, short one is dropped unless it is the only one.

        A method that trains on shots gets batches of indices instead, 1,000 per epoch.
        """
        method = None if self.trainer is None else self.trainer.lightning_module
        if hasattr(method, "learn_shots"):
            shots = self._decoded(collate_shots(self._datasets["train"], self.train_ids))
            lookup = torch.from_numpy(self.label_space.flip_lookup())
            self._shots = shots | {"flip_lookup": lookup}
            return DataLoader(Numbers(EPOCH * self.batch_size), batch_size=self.batch_size)
        dataset = self._datasets["train"]
        return self._train_dataloader(dataset, self.train_ids, self.training_order)

    def unlabelled_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches, without labels, of the training samples that are not shots."""
        if not self.unlabelled_ids:
            raise DataError("All training samples have labels; choose fewer shots.")
        self.check("train", self.unlabelled_ids, labels=False)
        ids = self.unlabelled_ids
        return self._train_dataloader(self.unlabelled_dataset(), ids, partial(_shuffled, ids))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation samples, each exactly once over all processes."""
        return self._eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test samples, each exactly once over all processes."""
        return self._eval_dataloader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The samples to predict: those of the test split."""
        return self._eval_dataloader("test")

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Count the replaced samples."""
        return self.skipped.take(batch)

    def teardown(self, stage: str) -> None:
        """Report how many samples were skipped."""
        if stage == "fit":
            self.skipped.summarise()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Convert batches of loaders, with images in bytes or floats, to ``Batch``."""
        batch = self._decoded(batch)
        if self._shots is not None and self.trainer is not None and self.trainer.training:
            batch["shots"] = self._shots_on(batch["index"].device)
        return batch

    def _decoded(self, batch: Batch) -> Batch:
        """Convert bytes to floats and classes to int64."""
        batch = dict(batch)
        if "image" in batch and batch["image"].dtype == torch.uint8:
            batch["image"] = batch["image"].float().div_(127.5).sub_(1)
        batch |= {key: batch[key].long() for key in MAPS if key in batch}
        if "instance" in batch:
            batch["edge"] = instance_edges(batch["instance"])
        return batch if self.trainer is None else self.trainer.precision_plugin.convert_input(batch)

    def _shots_on(self, device: torch.device) -> Batch:
        """The shots on a device, moved there once."""
        assert self._shots is not None
        if self._shots["mask"].device != device:
            self._shots = move_data_to_device(self._shots, device)
        return self._shots

    def _train_dataloader(
        self, dataset: Dataset[Batch], ids: Sequence[int], order: Any
    ) -> DataLoader[Batch]:
        rank, world_size = self._rank_and_world_size()
        seed = torch.initial_seed() % (1 << 32)
        sampler = TrainSampler(order, self.batch_size, seed, rank, world_size)
        if self.trainer is not None:
            sampler.done = self._interrupted_at(len(sampler))
            sampler.epoch = sampler.done[0]  # workers prefetch before the trainer sets it
        return DataLoader(
            Tolerant(dataset, ids) if self.on_bad_file == "skip" else dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            drop_last=sampler.drop_last,
            persistent_workers=self.num_workers > 0,
        )

    def _interrupted_at(self, num_samples: int) -> tuple[int, int]:
        """The epoch that the trainer resumes, and how many of its samples were read."""
        assert self.trainer is not None
        loop: Any = self.trainer.fit_loop  # its counters have too general annotations
        read = loop.epoch_loop.batch_progress.current.processed * self.batch_size
        return loop.epoch_progress.current.processed, read if read < num_samples else 0

    def _eval_dataloader(self, split: Split) -> DataLoader[Batch]:
        dataset = self._datasets[split]
        rank, world_size = self._rank_and_world_size()
        count = len(dataset)  # type: ignore[arg-type]
        if count < world_size:
            raise DataError(
                f"The {split} split has {count} samples for {world_size} processes, and each needs "
                "at least one. Use fewer processes."
            )
        return DataLoader(
            dataset,
            batch_size=self.eval_batch_size,  # by keyword: predict rebuilds it
            sampler=ShardSampler(count, rank, world_size),
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def _rank_and_world_size(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size


def instance_edges(instance: Tensor) -> Tensor:
    """Outlines (B, H, W), bool: pixels with a 4-neighbour of another instance (B, H, W).

    Wang et al., CVPR 2018 (pix2pixHD).
    """
    edge = torch.zeros_like(instance, dtype=torch.bool)
    across = instance[:, :, 1:] != instance[:, :, :-1]
    down = instance[:, 1:] != instance[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    return edge


def _shuffled(ids: Sequence[int], generator: torch.Generator) -> Tensor:
    return torch.tensor(ids)[torch.randperm(len(ids), generator=generator)]
