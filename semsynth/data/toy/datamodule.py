"""The toy worlds as data modules: endless images, nothing to download."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from semsynth.data.base import Batch, Split, SynthesisDataModule
from semsynth.data.sparse import SparseKind, SparseLabels
from semsynth.data.toy.portrait import PortraitWorld
from semsynth.data.toy.street import StreetWorld
from semsynth.data.toy.world import CLASS_LOOKS, World

_FIRST: dict[Split, int] = {"train": 0, "val": 1 << 40, "test": 1 << 41}
"""Id of the first sample of each split, far enough apart that splits never overlap."""


class ToyDataset(Dataset[Batch]):
    """Samples rendered when first read and kept in memory as bytes.

    Each loader process keeps those that it rendered. The samples of the world are ``first`` to
    ``first + size - 1``.
    """

    def __init__(self, world: World, first: int, size: int, image_size: int, seed: int) -> None:
        self.world = world
        self.first = first
        self.size = size
        self.image_size = image_size
        self.seed = seed
        # Pages of an empty tensor take no memory until written.
        self._pixels = torch.empty(size, 5, image_size, image_size, dtype=torch.uint8)
        self._rendered = torch.zeros(size, dtype=torch.bool)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """Samples of a batch; new ones are rendered together."""
        index = torch.as_tensor(indices)
        self._render(index[~self._rendered[index]])
        pixels = self._pixels[index]
        columns = {
            "image": pixels[:, :3] / 127.5 - 1,
            "mask": pixels[:, 3].long(),
            "instance": pixels[:, 4].long(),
            "index": index,
        }
        return [{key: column[i] for key, column in columns.items()} for i in range(len(index))]

    def _render(self, index: Tensor) -> None:
        if not len(index):
            return
        samples = self.first + index
        layout = self.world.sample_layout(self.seed, samples)
        appearance = self.world.sample_appearance(self.seed, samples)
        image, mask, instance = self.world.render(layout, appearance, self.image_size)
        labels = torch.stack([mask, instance], 1).byte()
        colours = image.add(1).mul(127.5).round().byte()
        self._pixels[index] = torch.cat([colours, labels], 1)
        self._rendered[index] = True


class ToyDataModule(SynthesisDataModule):
    """Splits of a toy world.

    Args:
        image_size: Height and width, between 32 and 256.
        train_size: Number of training samples.
        val_size: Number of validation samples.
        test_size: Number of test samples.
        batch_size: Training samples per process and step.
        eval_batch_size: Samples per process and step in validation, test and prediction.
        num_workers: Loader processes; 0 renders in the training process.
        seed: Seed of the world; another one gives other samples of the same distribution.
        labels: ``dense`` masks; or ``scribbles`` or ``landmarks``, where 0 is unknown and class k
            becomes k + 1.
    """

    world: ClassVar[World]

    def __init__(
        self,
        image_size: int = 64,
        train_size: int = 8192,
        val_size: int = 256,
        test_size: int = 256,
        batch_size: int = 16,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        labels: Literal["dense"] | SparseKind = "dense",
        **kwargs: Any,
    ) -> None:
        if not 32 <= image_size <= 256:
            raise ValueError(
                f"image_size must be between 32 and 256, got {image_size}; smaller images lose "
                "their parts, and larger ones take too long to render."
            )
        self.sizes: dict[Split, int] = {"train": train_size, "val": val_size, "test": test_size}
        for split, size in self.sizes.items():
            if size < 1:
                raise ValueError(
                    f"{split}_size must be at least 1, got {size}; give every split a sample."
                )
        space = self.world.label_space
        super().__init__(
            space if labels == "dense" else space.with_unknown(first=True),
            image_size,
            batch_size,
            eval_batch_size,
            num_workers,
            **kwargs,
        )
        self.seed = seed
        self.labels = labels

    def dataset(self, split: Split) -> ToyDataset | SparseLabels:
        """The samples of a split; splits never overlap."""
        rendered = self.rendered(split)
        if self.labels == "dense":
            return rendered
        return SparseLabels(rendered, self.labels, self.seed, rendered.first)

    def rendered(self, split: Split) -> ToyDataset:
        """The samples of a split with dense masks."""
        return ToyDataset(**self.samples(split))

    def samples(self, split: Split) -> dict[str, Any]:
        """Arguments of ``ToyDataset`` for a split."""
        sizes = {"size": self.sizes[split], "image_size": self.image_size[0]}
        return sizes | {"world": self.world, "first": _FIRST[split], "seed": self.seed}

    def render_like(
        self,
        split: Split,
        index: Tensor,
        appearance_seed: int,
        other: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """Sample images (B, 3, H, W) in [-1, 1] from the true distribution given layouts.

        Args:
            split: Where the layouts are from.
            index: Positions of the samples in the split (B,), int64, as in the batch.
            appearance_seed: Seed of the appearance; the data module's gives that of the samples.
            other: One class (B,) of each sample with another appearance, and its seed.
        """
        samples = _FIRST[split] + index.cpu()
        layout = self.world.sample_layout(self.seed, samples)
        appearance = self.world.sample_appearance(appearance_seed, samples)
        if other is not None:
            looks = self.world.sample_appearance(other[1], samples)
            rows = torch.arange(len(samples)), other[0].cpu()
            for name in CLASS_LOOKS:
                appearance[name][rows] = looks[name][rows]
        return self.world.render(layout, appearance, self.image_size[0]).image.to(index.device)


class ToyPortrait(ToyDataModule):
    """Toy portraits, the analogue of CelebAMask-HQ, with nine classes."""

    world = PortraitWorld()


class ToyStreet(ToyDataModule):
    """Toy streets, the analogue of Cityscapes, with eight classes and instances."""

    world = StreetWorld()
