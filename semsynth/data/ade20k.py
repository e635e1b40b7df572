"""ADE20K, SceneParsing-150 (Zhou et al., CVPR 2017): ``ADEChallengeData2016`` as unpacked."""

from dataclasses import replace
from typing import Any, ClassVar, Literal

from semsynth.data.base import Archives, ImageSize, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.labels import LabelSpace, official_space
from semsynth.data.pairs import Pair, find_pairs

LabelOrder = Literal["shifted", "raw"]


class ADE20K(PairsOnDisk):
    """20,210 training and 2,000 validation scenes, 150 classes and unknown; val is also the test.

    Args:
        root: ``ADEChallengeData2016``, with ``images/`` and ``annotations/``.
        label_order: ``shifted`` gives class k - 1 to the value k on disk and 150 to unknown;
            ``raw`` keeps the values, 0 for unknown, as the official checkpoints were trained.
        load_size: Training images are resized to this and cropped at random; no crop if null.
    """

    ARCHIVES = Archives("http://sceneparsing.csail.mit.edu", ("ADEChallengeData2016.zip",))
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 20210, "val": 2000, "test": 2000}

    def __init__(
        self,
        root: str,
        label_order: LabelOrder = "shifted",
        load_size: ImageSize | None = 286,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, ade20k_space(label_order), load_size, **kwargs)

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images`` and ``annotations``, paired by stem."""
        folder = "training" if split == "train" else "validation"
        return find_pairs(self.root / "images" / folder, self.root / "annotations" / folder)


def ade20k_space(label_order: LabelOrder) -> LabelSpace:
    """The 150 classes and unknown, which is not evaluated; in files 0 is unknown."""
    space = official_space("ade20k").with_unknown(first=label_order == "raw")
    shifted = (space.num_classes - 1, *range(space.num_classes - 1))
    raw = tuple(range(space.num_classes))
    return replace(space, file_values=shifted if label_order == "shifted" else raw)
