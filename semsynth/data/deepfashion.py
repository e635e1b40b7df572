"""DeepFashion In-shop with 16 classes, as CLVAE used it (Endo and Kanamori, PG 2020)."""

from typing import Any, ClassVar

from semsynth.data.base import Archives, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import MissingSplitError, Problem
from semsynth.data.labels import official_space
from semsynth.data.pairs import Pair, list_images, pair_by_name


class DeepFashion(PairsOnDisk):
    """6,343 training and 6,390 test persons; test is also the validation split.

    ``ROOT/{train,test}`` hold ``NAME.jpg`` and ``NAME_label.png``. The names of eight classes are
    not published. Other works use other masks of the same photos, with eight classes.

    Args:
        root: Directory with ``train/`` and ``test/``.
    """

    ARCHIVES = Archives(
        "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
        ("img_highres.zip",),
    )
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 6343, "val": 6390, "test": 6390}

    def __init__(self, root: str, **kwargs: Any) -> None:
        super().__init__(root, official_space("deepfashion"), **kwargs)

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
