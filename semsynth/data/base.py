"""What all data modules share: the label space, the batch, and loaders that are right under DDP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.colors
import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

Split = Literal["train", "val", "test"]
Batch = dict[str, Any]
"""``image`` (B, 3, H, W) float in [-1, 1], ``mask`` (B, H, W) int64, ``index`` (B,) int64, the id
of the sample in its split; where the data has them, ``instance`` (B, H, W) int64 and ``name``."""


class DataError(ValueError):
    """The data on disk are not what they must be; the message names file, value and remedy."""


@dataclass(frozen=True)
class LabelSpace:
    """Meaning of the values of a label map.

    Attributes:
        names: Name of each class; its position is the value in the mask.
        palette: Colour of each class, RGB in 0..255.
        ignore_index: Value of pixels without a label; not a class.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int = 255

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"A label space needs one colour for each class, got {len(self.names)} names and "
                f"{len(self.palette)} colours."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, pixels without a label not counted."""
        return len(self.names)

    def lookup(self) -> np.ndarray:
        """Class of each value on disk (256,), int64; -1 where a value has no meaning."""
        table = np.full(256, -1)
        table[: self.num_classes] = np.arange(self.num_classes)
        table[self.ignore_index] = self.ignore_index
        return table


def distinct_palette(num_colours: int) -> tuple[tuple[int, int, int], ...]:
    """Colours that differ well in hue, and in lightness where hues come close."""
    index = np.arange(num_colours)
    hue = index * 0.618034 % 1  # the golden ratio never comes back to a hue
    value = np.array([0.95, 0.7, 0.5])[index % 3]
    saturation = np.array([0.85, 0.55])[index // 3 % 2]
    rgb = matplotlib.colors.hsv_to_rgb(np.stack([hue, saturation, value], axis=1))
    return tuple((int(r), int(g), int(b)) for r, g, b in (rgb * 255).round())


def height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """A size given as one number or as two."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class ShardSampler(Sampler[int]):
    """Every ``world_size``-th sample, without padding.

    Lightning's own sampler repeats samples until all processes have the same number, which changes
    every metric. Evaluation here has no collective inside a step, so shards may differ in length.
    """

    def __init__(self, num_samples: int, rank: int, world_size: int) -> None:
        self.indices = range(rank, num_samples, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class SynthesisDataModule(LightningDataModule):
    """Pairs of image and mask. Subclasses say what a split holds, in ``dataset``.

    Args:
        label_space: Meaning of the mask values.
        image_size: Height and width, or one number for both.
        batch_size: Training samples a process and step.
        eval_batch_size: Samples a process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        label_space: LabelSpace,
        image_size: int | tuple[int, int],
        batch_size: int,
        eval_batch_size: int,
        num_workers: int,
    ) -> None:
        super().__init__()
        self.label_space = label_space
        self.image_size = height_and_width(image_size)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self._datasets: dict[Split, Dataset[Batch]] = {}

    @property
    def num_classes(self) -> int:
        """Number of classes of the masks."""
        return self.label_space.num_classes

    def lookup(self) -> np.ndarray:
        """Class of each value of the masks on disk (256,), int64; -1 where it has no meaning."""
        return self.label_space.lookup()

    def dataset(self, split: Split) -> Dataset[Batch]:
        """The samples of a split as a map-style data set of unbatched ``Batch`` items.

        Bad files are found here, before training starts.
        """
        raise TypeError(f"{type(self).__name__} does not say what a split holds.")

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs: ``fit``, ``validate``, ``test`` or ``predict``."""
        splits: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "val"),
            "validate": ("val",),
            "test": ("test",),
            "predict": ("test",),
        }
        for split in splits[stage]:
            if split not in self._datasets:
                self._datasets[split] = self.dataset(split)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches; the last, short one is dropped unless it is the only one."""
        dataset = self._datasets["train"]
        rank, world_size = self._rank_and_world_size()
        sampler: DistributedSampler[Batch] = DistributedSampler(
            dataset, world_size, rank, seed=torch.initial_seed() % (1 << 32)
        )
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            drop_last=len(sampler) >= self.batch_size,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation samples, each exactly once over all processes."""
        return self._eval_dataloader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test samples, each exactly once over all processes."""
        return self._eval_dataloader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The samples to predict: those of the test split."""
        return self._eval_dataloader("test")

    def _eval_dataloader(self, split: Split) -> DataLoader[Batch]:
        dataset = self._datasets[split]
        rank, world_size = self._rank_and_world_size()
        return DataLoader(
            dataset,
            batch_size=self.eval_batch_size,  # by keyword: predict builds it anew
            sampler=ShardSampler(len(dataset), rank, world_size),  # type: ignore[arg-type]
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def _rank_and_world_size(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size
