"""CelebAMask-HQ (Lee et al., CVPR 2020): the unpacked archive, or a prepared tree."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from semsynth.data.base import Archives, ImageSize, Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, PairingError, Problem
from semsynth.data.labels import LabelSpace, official_space
from semsynth.data.pairs import NO_PARTNER, Pair, find_pairs, list_images

# fmt: off
PARTS = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth",
    "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)
# fmt: on
"""Suffixes of the part files; part k is class k + 1, and later parts cover earlier ones."""
PHOTOS = "CelebA-HQ-img"
ANNOTATIONS = "CelebAMask-HQ-mask-anno"
MERGED = "CelebAMask-HQ-merged"
"""Label maps ``<index>.png`` that ``semsynth data prepare`` merged from the parts."""
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
FIRST_VAL, FIRST_TEST = 162771, 182638  # of CelebA, as the authors' g_partition.py has them
FIRST_TEST_BY_INDEX = 28000


class CelebAMaskHQ(PairsOnDisk):
    """30,000 faces of 1024 x 1024 with 19 classes.

    Args:
        root: The unpacked ``CelebAMask-HQ``, with its part files or with label maps merged by
            ``semsynth data prepare``; or a tree ``{train,test}/{images,labels}`` of label maps.
        split: ``official`` divides by the index in CelebA: 24,183, 2,993 and 2,824 faces; ``index``
            trains with the faces 0 to 27,999 and tests, and validates, with the other 2,000. A tree
            has its own split.
        swap_left_right: Exchange left and right eye, brow and ear in mirrored samples.
        load_size: Training images are resized to this and cropped at random; no crop if null.
    """

    ARCHIVES = Archives("https://github.com/switchablenorms/CelebAMask-HQ", ("CelebAMask-HQ.zip",))
    EXPECTED: ClassVar[dict[Split, int]] = {"train": 24183, "val": 2993, "test": 2824}
    EXPECTED_BY_INDEX: ClassVar[dict[Split, int]] = {"train": 28000, "val": 2000, "test": 2000}
    PAPER_SHOTS = ("0", "1", "10", "100", "1000")

    def __init__(
        self,
        root: str,
        split: Literal["official", "index"] = "official",
        swap_left_right: bool = True,
        load_size: ImageSize | None = 286,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, celebamask_space(swap_left_right), load_size, **kwargs)
        self.split = split

    def pairs(self, split: Split) -> list[Pair]:
        """Photos with their part files, or with their label maps where these were merged."""
        if (self.root / "train").is_dir():
            folder = self.root / ("train" if split == "train" else "test")
            return find_pairs(folder / "images", folder / "labels")
        indices = self._indices(split)
        if (self.root / MERGED).is_dir():
            pairs = {pair.name: pair for pair in find_pairs(self.root / PHOTOS, self.root / MERGED)}
            return [pairs[str(i)] for i in indices]
        return self.unmerged_pairs(indices)

    def unmerged_pairs(self, indices: list[int]) -> list[Pair]:
        """Photos and their part files; absent parts have no file."""
        parts, photos = self._part_files(), list_images(self.root / PHOTOS)
        pairs, problems = [], []
        for index in indices:
            name, files = str(index), sorted(parts[index].items())
            classes = tuple(part_class for part_class, _ in files)
            pairs.append(Pair(name, photos[name], tuple(file for _, file in files), classes))
            if not files:
                place = self.root / ANNOTATIONS / str(index // 2000) / f"{index:05d}_*.png"
                text = f"{photos[name]} has no mask: expected {place} ; unpack the archive again."
                problems.append(Problem(NO_PARTNER, photos[name], text))
        if problems:
            raise PairingError(problems, [pair for pair in pairs if pair.labels])
        return pairs

    def _part_files(self) -> dict[int, dict[int, Path]]:
        """File of each class of each face."""
        parts: dict[int, dict[int, Path]] = defaultdict(dict)
        for file in (self.root / ANNOTATIONS).glob("*/[!.]*.png"):
            index, _, part = file.stem.partition("_")
            if part not in PARTS or not index.isdigit():
                raise DataError(f"{file} is not a part file such as 00000_skin.png. Remove it.")
            parts[int(index)][PARTS.index(part) + 1] = file
        return parts

    def _indices(self, split: Split) -> list[int]:
        """Indices of the faces of a split whose photo exists."""
        found = np.array(sorted(int(stem) for stem in list_images(self.root / PHOTOS)))
        if self.split == "index":
            in_test = found >= FIRST_TEST_BY_INDEX
            return found[~in_test if split == "train" else in_test].tolist()
        original = read_mapping(self.root / MAPPING)
        unknown = [int(i) for i in found if int(i) not in original]
        if unknown:
            mapping = self.root / MAPPING
            raise DataError(f"{mapping} has no line for face {unknown[0]}; restore the file.")
        part = np.digitize([original[int(i)] for i in found], (FIRST_VAL, FIRST_TEST))
        return found[part == ("train", "val", "test").index(split)].tolist()


def celebamask_space(swap_left_right: bool = True) -> LabelSpace:
    """The 19 classes; the mirror exchanges left and right eye, brow and ear."""
    space = official_space("celebamask_hq")
    return replace(space, flip_pairs=((4, 5), (6, 7), (8, 9)) if swap_left_right else ())


def read_mapping(file: Path) -> dict[int, int]:
    """Index in CelebA of each face of CelebA-HQ, counted from 0."""
    if not file.is_file():
        raise DataError(
            f"There is no {file}, which the official split needs; copy it from the archive, or "
            "choose split: index."
        )
    rows = [line.split() for line in file.read_text().splitlines()[1:] if line.strip()]
    try:
        return {int(row[0]): int(row[1]) for row in rows}
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{file} is invalid ({error}); expected a header, then 'idx orig_idx orig_file'."
        ) from error
