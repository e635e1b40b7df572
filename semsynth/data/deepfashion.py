"""DeepFashion In-shop with 16 classes, as CLVAE used it (Endo and Kanamori, PG 2020)."""

from typing import ClassVar

from semsynth.data.base import Archives, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import MissingSplitError, Problem
from semsynth.data.labels import official_space
from semsynth.data.pairs import Pair, list_images, pair_by_name
from semsynth.data.shots import Shots
from semsynth.data.tolerant import OnBadFile


class DeepFashion(PairsOnDisk):
    """6,343 training and 6,390 test persons; test is also the validation split.

    ``ROOT/{train,test}`` hold ``NAME.jpg`` and ``NAME_label.png``. The names of eight classes are
    not published. Other works use other masks of the same photos, with eight classes.

    Args:
        root: Directory with ``train/`` and ``test/``.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        load_size: Training images are resized to this and cropped at random; no crop if not given.
        flip: Mirror training samples with probability 0.5.
        shots: How many training samples have labels, their names, or a file of them; all if not
            given.
        shots_seed: Choose the shots by this seed; 0 if not given.
        batch_size: Training samples a process and step.
        eval_batch_size: Samples a process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
        cache: Directory that keeps photos and maps as they are loaded, so that they are decoded
            once; it may be deleted at any time. None if not given.
        on_bad_file: When a training file cannot be read, ``stop``; or ``skip``: read the next
            sample in its place, name the file and count.
    """

    ARCHIVES = Archives(
        "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
        ("img_highres.zip",),
    )
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 6343, "val": 6390, "test": 6390}

    def __init__(
        self,
        root: str,
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = None,
        flip: bool = True,
        shots: Shots = None,
        shots_seed: int | None = None,
        batch_size: int = 4,
        eval_batch_size: int = 8,
        num_workers: int = 2,
        cache: str | None = None,
        on_bad_file: OnBadFile = "stop",
    ) -> None:
        space = official_space("deepfashion")
        super().__init__(
            root,
            space,
            image_size,
            load_size,
            flip,
            shots,
            shots_seed,
            batch_size,
            eval_batch_size,
            num_workers,
            cache,
            on_bad_file,
        )

    def pairs(self, split: Split) -> list[Pair]:
        """The photos of a folder with the label maps beside them."""
        folder = self.root / ("train" if split == "train" else "test")
        if not folder.is_dir():
            raise MissingSplitError(folder)
        problems: list[Problem] = []
        files = list_images(folder, problems)
        labels = {s.removesuffix("_label"): f for s, f in files.items() if s.endswith("_label")}
        photos = {s: f for s, f in files.items() if not s.endswith("_label")}
        places = (str(folder / "NAME.jpg"), str(folder / "NAME_label.png"))
        return pair_by_name(photos, labels, places, problems)
