"""Cityscapes (Cordts et al., CVPR 2016): the unpacked archives."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from semsynth.data.base import Archives, ImageSize, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, MissingSplitError, Problem
from semsynth.data.labels import LabelSpace, official_space
from semsynth.data.pairs import NO_PARTNER, Pair, pair_by_name

EVALUATED = (7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33)
"""labelId of each of the 19 trainIds."""
IGNORED = 255
PHOTO, ANNOTATION = "_leftImg8bit.png", "_gtFine_{}.png"
REMEDIES = {
    "labelIds": "check the root of the data set, or use label_files: labelTrainIds",
    "labelTrainIds": "make them with csCreateTrainIdLabelImgs, or use label_files: labelIds",
}

SpaceName = Literal["cityscapes-34", "cityscapes-35", "cityscapes-19"]
LabelFiles = Literal["labelIds", "labelTrainIds"]


class Cityscapes(PairsOnDisk):
    """2,975 training and 500 validation streets; val is also the test, whose labels are secret.

    Scores are computed in the 19 trainIds, whatever the label space.

    Args:
        root: Directory with ``leftImg8bit/`` and ``gtFine/``.
        label_space: ``cityscapes-34`` has the labelIds as classes; ``cityscapes-35`` adds unknown,
            as SPADE's and OASIS's 35 channels do; ``cityscapes-19`` the trainIds, where other
            pixels have no label.
        label_files: Files to read labels from; ``labelTrainIds``, made by the official scripts,
            have only the 19 classes.
        instances: Also read the instance maps: values of ``instanceIds``, below 1000 for pixels
            without an instance.
        image_size: Height and width, or one number for both; the aspect ratio is not kept.
    """

    ARCHIVES = Archives(
        "https://www.cityscapes-dataset.com/downloads",
        ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"),
    )
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 2975, "val": 500, "test": 500}

    def __init__(
        self,
        root: str,
        label_space: SpaceName = "cityscapes-34",
        label_files: LabelFiles = "labelIds",
        instances: bool = True,
        image_size: ImageSize = (256, 512),
        **kwargs: Any,
    ) -> None:
        space = cityscapes_space(label_space, label_files)
        super().__init__(root, space, image_size=image_size, **kwargs)
        self.label_files = label_files
        self.instances = instances

    def pairs(self, split: Split) -> list[Pair]:
        """Photos and annotations of all cities, paired by city, sequence and frame."""
        folder = "train" if split == "train" else "val"
        if not any((self.root / kind / folder).is_dir() for kind in ("leftImg8bit", "gtFine")):
            raise MissingSplitError(
                self.root / "leftImg8bit" / folder, self.root / "gtFine" / folder
            )
        photos = self._files(f"leftImg8bit/{folder}", PHOTO)
        labels = self._files(f"gtFine/{folder}", ANNOTATION.format(self.label_files))
        if not labels:
            raise DataError(
                f"{self.root}/gtFine/{folder} has no {ANNOTATION.format(self.label_files)}; "
                f"{REMEDIES[self.label_files]}."
            )
        problems: list[Problem] = []
        instances = self._instances(folder, photos, problems) if self.instances else {}
        places = (
            f"{self.root}/leftImg8bit/{folder}/CITY/NAME{PHOTO}",
            f"{self.root}/gtFine/{folder}/CITY/NAME{ANNOTATION.format(self.label_files)}",
        )
        pairs = pair_by_name(photos, labels, places, problems)
        return [replace(pair, instance=instances.get(pair.name)) for pair in pairs]

    def _files(self, folder: str, suffix: str) -> dict[str, Path]:
        """Files of a kind by city, sequence and frame, sorted."""
        if not (self.root / folder).is_dir():
            raise DataError(
                f"There is no directory {self.root / folder}; check the root of the data set. The "
                f"archives are {' and '.join(self.ARCHIVES.files)} from {self.ARCHIVES.page}."
            )
        files = sorted((self.root / folder).glob(f"[!.]*/[!.]*{suffix}"))
        return {file.name.removesuffix(suffix): file for file in files}

    def _instances(
        self, folder: str, photos: dict[str, Path], problems: list[Problem]
    ) -> dict[str, Path]:
        found = self._files(f"gtFine/{folder}", ANNOTATION.format("instanceIds"))
        for name in photos.keys() - found.keys():
            text = f"{photos[name]} has no instanceIds; add them, or set instances: false."
            problems.append(Problem(NO_PARTNER, photos[name], text))
        return found


def cityscapes_space(
    name: SpaceName = "cityscapes-19", files: LabelFiles = "labelIds"
) -> LabelSpace:
    """One of the label spaces of Cityscapes, for one kind of files."""
    ids = official_space("cityscapes")
    train_ids = LabelSpace(
        tuple(ids.names[i] for i in EVALUATED), tuple(ids.palette[i] for i in EVALUATED)
    )
    class_of_id = tuple(
        EVALUATED.index(i) if i in EVALUATED else IGNORED for i in range(ids.num_classes)
    )
    if name == "cityscapes-19":
        return (
            train_ids if files == "labelTrainIds" else replace(train_ids, file_values=class_of_id)
        )
    if files == "labelTrainIds":
        raise DataError(f"labelTrainIds have 19 classes; {name} needs label_files: labelIds.")
    values = tuple(range(ids.num_classes))
    if name == "cityscapes-35":
        ids = ids.with_unknown()
        class_of_id = (*class_of_id, IGNORED)
    return replace(ids, file_values=values, evaluation=train_ids, evaluation_classes=class_of_id)
