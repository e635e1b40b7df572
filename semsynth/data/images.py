"""Unlabelled images, for training a generator."""

from typing import Any

from semsynth.data.base import Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.labels import LabelSpace
from semsynth.data.pairs import Pair, list_images


class Images(PairsOnDisk):
    """A folder of images: all of them for training, and again as the real set of evaluation.

    Args:
        root: Directory of the images.
        flip: Mirror training images with probability 0.5.
        eval_size: Number of images, the first by name, for evaluation; by default all.
        eval_batch_size: Images per process and step in evaluation.
    """

    def __init__(
        self,
        root: str,
        flip: bool = False,
        eval_size: int | None = None,
        eval_batch_size: int = 16,
        **kwargs: Any,
    ) -> None:
        if eval_size is not None and eval_size < 2:
            raise ValueError(f"eval_size must be at least 2, got {eval_size}.")
        super().__init__(
            root,
            LabelSpace((), ()),
            load_size=None,
            flip=flip,
            shots=None,
            shots_seed=None,
            eval_batch_size=eval_batch_size,
            **kwargs,
        )
        self.eval_size = eval_size

    def pairs(self, split: Split) -> list[Pair]:
        """The images of the folder, sorted by name."""
        pairs = [Pair(stem, file, ()) for stem, file in list_images(self.root).items()]
        return pairs if split == "train" else pairs[: self.eval_size]
