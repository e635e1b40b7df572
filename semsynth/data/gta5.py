"""GTA5 (Richter et al., ECCV 2016) as cIMLE prepared it (Li et al., ICCV 2019)."""

import io
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semsynth.data.base import Archives, Batch, ImageSize, Mapped, Split
from semsynth.data.check.scan import cache_directory, digest_of
from semsynth.data.cityscapes import cityscapes_space
from semsynth.data.disk import PairsOnDisk
from semsynth.data.labels import LabelSpace
from semsynth.data.pairs import Pair, find_pairs
from semsynth.data.rarity import scores_of_pairs
from semsynth.files import write_bytes

REBALANCED = (0, 2, 10, 19, 1)
"""Classes whose rare colours are sampled: road, building, sky, others, sidewalk."""
PHOTOS_PER_EPOCH, DRAWS_PER_EPOCH = 400, 10_000


class GTA5(PairsOnDisk):
    """12,403 training and 6,382 test streets; test is also the validation split.

    ``ROOT/RGB256Full/{train,test}`` and ``ROOT/LabelgrayFull20/{train,test}``: the 19 trainIds of
    Cityscapes, which are evaluated, and 19 for all others.

    Args:
        root: Directory with ``RGB256Full/`` and ``LabelgrayFull20/``.
        rebalance: Sample photos with rare colours of road, building, sky, others and sidewalk more
            often, 10,000 of 400 per epoch, and weight each pixel by the rarity of its class in the
            photo, relative to the rarest class, as ``loss_mask``.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        flip: Mirror training samples with probability 0.5.
    """

    ARCHIVES = Archives(
        "https://github.com/zth667/Diverse-Image-Synthesis-from-Semantic-Layout",
        ("RGB256Full", "LabelgrayFull20"),
    )
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 12403, "val": 6382, "test": 6382}

    def __init__(
        self,
        root: str,
        rebalance: bool = True,
        image_size: ImageSize = (256, 512),
        flip: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, gta5_space(), image_size=image_size, flip=flip, **kwargs)
        self.rebalance = rebalance
        self._scores: np.ndarray | None = None

    def pairs(self, split: Split) -> list[Pair]:
        """The files of both folders, paired by stem."""
        folder = "train" if split == "train" else "test"
        return find_pairs(self.root / "RGB256Full" / folder, self.root / "LabelgrayFull20" / folder)

    def prepare_data(self) -> None:
        """Compute the rarity once, in one process."""
        if self.rebalance and (self.trainer is None or self.trainer.state.fn == "fit"):
            self.scores()

    def scores(self) -> np.ndarray:
        """Rarity of each class in each training photo (N, 20), 0 if absent; cached on disk."""
        if self._scores is None:
            pairs = self._pairs("train")
            file = cache_directory() / "rarity" / f"{digest_of(pairs, self.lookup())}.npy"
            if not file.exists():
                self.check("train", range(len(pairs)))
                scores = scores_of_pairs(pairs, self.lookup(), self.num_classes)
                content = io.BytesIO()
                np.save(content, scores)
                write_bytes(file, content.getvalue())
            self._scores = np.load(file)
        return self._scores

    def dataset(self, split: Split) -> Dataset[Batch]:
        """All samples of a split; those of the training with their loss mask."""
        samples = super().dataset(split)
        if split != "train" or not self.rebalance:
            return samples
        scores = torch.from_numpy(self.scores()).float()
        weights = scores / scores.amax(1, keepdim=True).clamp(min=torch.finfo().tiny)
        return Mapped(samples, partial(with_loss_mask, weights=weights))

    def training_order(self, generator: torch.Generator) -> Tensor:
        """Draw 400 photos by the rarity of the classes, in equal parts, and 10,000 of these."""
        if not self.rebalance:
            return super().training_order(generator)
        ids = torch.tensor(self.train_ids)
        scores = torch.from_numpy(self.scores())[ids][:, REBALANCED].T  # (classes, photos)
        seen = scores[scores.sum(1) > 0]
        if not len(seen):
            return super().training_order(generator)
        drawn = torch.multinomial(seen, PHOTOS_PER_EPOCH // len(seen), True, generator=generator)
        chosen = torch.randint(drawn.numel(), (DRAWS_PER_EPOCH,), generator=generator)
        return ids[drawn.flatten()[chosen]]


def with_loss_mask(sample: Batch, weights: Tensor) -> Batch:
    """A sample with ``loss_mask`` (H, W) in (0, 1]; ``weights`` (N, num_classes)."""
    return sample | {"loss_mask": weights[sample["index"]][sample["mask"].long()]}


def gta5_space() -> LabelSpace:
    """The 19 trainIds of Cityscapes and others, which are not evaluated; 255 on disk is others."""
    space = cityscapes_space("cityscapes-19", "labelTrainIds").with_unknown()
    values = np.full(256, -1)
    values[:20], values[255] = np.arange(20), 19
    names = (*space.names[:19], "others")
    return replace(space, names=names, file_values=tuple(values.tolist()))
