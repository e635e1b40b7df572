"""ADE20K, SceneParsing-150 (Zhou et al., CVPR 2017): ``ADEChallengeData2016`` as it is unpacked."""

from dataclasses import replace
from typing import ClassVar, Literal

from semsynth.data.base import Archives, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.labels import LabelSpace, official_space
from semsynth.data.pairs import Pair, find_pairs
from semsynth.data.shots import Shots
from semsynth.data.tolerant import OnBadFile

LabelOrder = Literal["shifted", "raw"]


class ADE20K(PairsOnDisk):
    """20,210 training and 2,000 validation scenes, 150 classes and unknown; val is also the test.

    Args:
        root: ``ADEChallengeData2016``, with ``images/`` and ``annotations/``.
        label_order: ``shifted`` gives class k - 1 to the value k on disk and 150 to unknown;
            ``raw`` keeps the values, 0 for unknown, as the official checkpoints were trained.
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

    ARCHIVES = Archives("http://sceneparsing.csail.mit.edu", ("ADEChallengeData2016.zip",))
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 20210, "val": 2000, "test": 2000}

    def __init__(
        self,
        root: str,
        label_order: LabelOrder = "shifted",
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = 286,
        flip: bool = True,
        shots: Shots = None,
        shots_seed: int | None = None,
        batch_size: int = 4,
        eval_batch_size: int = 8,
        num_workers: int = 2,
        cache: str | None = None,
        on_bad_file: OnBadFile = "stop",
    ) -> None:
        space = ade20k_space(label_order)
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
        """The files of ``images`` and ``annotations``, paired by stem."""
        folder = "training" if split == "train" else "validation"
        return find_pairs(self.root / "images" / folder, self.root / "annotations" / folder)


def ade20k_space(label_order: LabelOrder) -> LabelSpace:
    """The 150 classes and unknown, which is not evaluated; files hold 0 for unknown, 1 to 150."""
    space = official_space("ade20k").with_unknown(first=label_order == "raw")
    shifted = (space.num_classes - 1, *range(space.num_classes - 1))
    raw = tuple(range(space.num_classes))
    return replace(space, file_values=shifted if label_order == "shifted" else raw)
