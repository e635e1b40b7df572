"""Images without labels, to train a generator on."""

from semsynth.data.base import Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.labels import LabelSpace
from semsynth.data.pairs import Pair, list_images
from semsynth.data.tolerant import OnBadFile


class Images(PairsOnDisk):
    """A folder of images: all of them for training, and again as the real set of evaluation.

    Args:
        root: Directory of the images.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        flip: Mirror training images with probability 0.5.
        eval_size: Number of images, the first ones by name, that evaluation compares with; all if
            not given.
        batch_size: Training images a process and step.
        eval_batch_size: Images a process and step in evaluation.
        num_workers: Loader processes; 0 loads in the training process.
        cache: Directory that keeps images as they are loaded, so that they are decoded once; it may
            be deleted at any time. None if not given.
        on_bad_file: When a training file cannot be read, ``stop``; or ``skip``: read the next
            sample in its place, name the file and count.
    """

    def __init__(
        self,
        root: str,
        image_size: int | tuple[int, int] = 256,
        flip: bool = False,
        eval_size: int | None = None,
        batch_size: int = 4,
        eval_batch_size: int = 16,
        num_workers: int = 2,
        cache: str | None = None,
        on_bad_file: OnBadFile = "stop",
    ) -> None:
        if eval_size is not None and eval_size < 2:
            raise ValueError(f"eval_size must be at least 2, got {eval_size}.")
        space = LabelSpace((), ())
        super().__init__(
            root,
            space,
            image_size,
            None,
            flip,
            None,
            None,
            batch_size,
            eval_batch_size,
            num_workers,
            cache,
            on_bad_file,
        )
        self.eval_size = eval_size

    def pairs(self, split: Split) -> list[Pair]:
        """The images of the folder, sorted by name."""
        pairs = [Pair(stem, file, ()) for stem, file in list_images(self.root).items()]
        return pairs if split == "train" else pairs[: self.eval_size]
