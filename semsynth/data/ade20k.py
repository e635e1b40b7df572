"""ADE20K, SceneParsing-150 (Zhou et al., CVPR 2017): ``ADEChallengeData2016`` as it is unpacked."""

from typing import Literal

import numpy as np

from semsynth.data.base import LabelSpace, Split, distinct_palette
from semsynth.data.pairs import Pair, PairsOnDisk, find_pairs

# fmt: off
NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain",
    "chair", "car", "water", "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field",
    "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp", "bathtub", "railing",
    "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
    "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case",
    "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind",
    "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus",
    "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth",
    "television", "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator",
    "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyor belt",
    "canopy", "washer", "plaything", "swimming pool", "stool", "barrel", "basket", "waterfall",
    "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank", "trade name",
    "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture",
    "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen",
    "plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)
# fmt: on
UNKNOWN = "unknown"


class ADE20K(PairsOnDisk):
    """20,210 training and 2,000 validation scenes, 150 classes and unknown; val is also the test.

    Args:
        root: ``ADEChallengeData2016``, with ``images/`` and ``annotations/``.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
        load_size: Training images are resized to this and cropped at random (the paper: 286).
        flip: Flip training samples with probability 0.5.
        label_order: ``shifted`` gives class k - 1 to the value k on disk and 150 to unknown;
            ``raw`` keeps the values, 0 for unknown, as the official checkpoints were trained.
        batch_size: Training samples a process and step.
        eval_batch_size: Samples a process and step in validation, test and prediction.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        root: str,
        image_size: int | tuple[int, int] = 256,
        load_size: int | tuple[int, int] | None = 286,
        flip: bool = True,
        label_order: Literal["shifted", "raw"] = "shifted",
        batch_size: int = 4,
        eval_batch_size: int = 8,
        num_workers: int = 2,
    ) -> None:
        names = [*NAMES, UNKNOWN] if label_order == "shifted" else [UNKNOWN, *NAMES]
        space = LabelSpace(tuple(names), distinct_palette(len(names)))
        super().__init__(
            root, space, image_size, load_size, flip, batch_size, eval_batch_size, num_workers
        )
        self.label_order = label_order

    def lookup(self) -> np.ndarray:
        """Class of each value on disk (256,): 0 to 150 have one."""
        table = np.full(256, -1)
        values = np.arange(len(NAMES) + 1)
        table[values] = (values - 1) % len(values) if self.label_order == "shifted" else values
        return table

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images`` and ``annotations``, paired by stem."""
        folder = "training" if split == "train" else "validation"
        return find_pairs(self.root / "images" / folder, self.root / "annotations" / folder)
