"""A folder of few labelled photos, or labelled samples of a generator."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from semsynth.data.base import Split
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, PairingError, Problem
from semsynth.data.folder import folder_space
from semsynth.data.labels import LabelSpace
from semsynth.data.latents import CODE_SUFFIXES, read_codes
from semsynth.data.pairs import NO_PARTNER, Pair, find_pairs, list_images, stem_of
from semsynth.data.sparse import require_marks

LabelKind = Literal["dense", "sparse"]


class FewShotFolder(PairsOnDisk):
    """``ROOT/train/{images,labels}``, and to test ``ROOT/test/labels`` with or without images.

    ``ROOT/train/codes``, or ``inversion``, may have the W+ code of each photo, ``NAME.pt`` or
    ``NAME.safetensors`` with ``codes`` (1, num_ws, w_dim): of a generator's sample, or from
    inversion. They become ``w_plus``. Without ``test`` the training pairs are tested, which only
    shows how well they are fitted. Nothing is cropped or mirrored.

    Args:
        root: Directory of the data set.
        num_classes: Classes of the labels, unknown included; by default those of ``classes.txt``.
        labels: ``dense`` label maps; or ``sparse`` scribbles and landmarks, where 0 is unknown.
        batch_size: Training samples per process and step.
        num_workers: Loader processes; 0 loads in the training process.
    """

    PAPER_SHOTS = (
        *("0", "1", "10", "100", "1000"),  # CelebAMask-HQ; 0 is the one shot of car, cat, ukiyo-e
        *("9995", "9996", "9997", "9998", "9999"),  # landmarks of CelebA
        *("610", "811", "883", "942", "981"),  # LSUN church
    )

    def __init__(
        self,
        root: str,
        num_classes: int | None = None,
        labels: LabelKind = "dense",
        batch_size: int = 1,
        num_workers: int = 0,
        **kwargs: Any,
    ) -> None:
        space = folder_space(Path(root) / "classes.txt", num_classes)
        if labels == "sparse":  # the first class is unknown
            space = LabelSpace(space.names[1:], space.palette[1:]).with_unknown(first=True)
        super().__init__(
            root,
            space,
            load_size=None,
            flip=False,
            cache=None,
            batch_size=batch_size,
            num_workers=num_workers,
            **kwargs,
        )

    def pairs(self, split: Split) -> list[Pair]:
        """The files of ``images``, ``labels`` and codes, paired by stem."""
        train, test = self.root / "train", self.root / "test"
        if split == "train" or not test.is_dir():
            return self._with_codes(train, find_pairs(train / "images", train / "labels"))
        if (test / "images").is_dir():
            return find_pairs(test / "images", test / "labels")
        return [Pair(name, None, (file,)) for name, file in list_images(test / "labels").items()]

    def check(self, split: Split, ids: Sequence[int], labels: bool = True) -> None:
        """Read every file once; sparse maps need marks, and codes the same shape."""
        super().check(split, ids, labels)
        if labels and self.label_space.unknown == 0:
            require_marks([self._pairs(split)[i] for i in ids], self.lookup())
        files = [self._pairs(split)[i].codes for i in ids] if labels else []
        shapes = {file: tuple(read_codes(file).shape) for file in files if file is not None}
        first = next(iter(shapes), None)
        for file, shape in shapes.items():
            if first is not None and shape != shapes[first]:
                raise DataError(
                    f"{file} has codes of {shape}, but {first} of {shapes[first]}; all must agree."
                )

    def _with_codes(self, folder: Path, pairs: list[Pair]) -> list[Pair]:
        """Add the stored codes: all or none."""
        places = [folder / "codes", folder / "inversion"]
        directory = next((place for place in places if place.is_dir()), None)
        if directory is None:
            return pairs
        found = {
            stem_of(p): p
            for p in sorted(directory.iterdir())
            if p.suffix in CODE_SUFFIXES and p.is_file()
        }
        problems = [
            Problem(
                NO_PARTNER,
                directory / f"{pair.name}.pt",
                f"{pair.name} has no codes: expected {directory / pair.name}.pt ; add them or "
                f"remove {directory}.",
            )
            for pair in pairs
            if pair.name not in found
        ]
        if problems:
            raise PairingError(problems, pairs)
        return [replace(pair, codes=found[pair.name]) for pair in pairs]
