"""Samples and problems of all splits of a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from semsynth.data.base import Split
from semsynth.data.check.scan import Scanned, problems_of, scan, warnings_of
from semsynth.data.check.sets import extent_of_set, problems_of_set
from semsynth.data.disk import PairsOnDisk
from semsynth.data.errors import DataError, MissingSplitError, PairingError, Problem
from semsynth.data.pairs import Pair, folders_of_images, image_files

SPLITS: tuple[Split, ...] = ("train", "val", "test")
NO_SPLIT = "unusable split"
NESTED = "nested images"


@dataclass
class SplitFiles:
    """A split, or two with the same files: names, complete pairs, and their scan."""

    names: list[Split]
    pairs: list[Pair]
    samples: list[Scanned] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its names as text."""
        return " and ".join(self.names)

    @property
    def counts(self) -> np.ndarray:
        """Pixels of each class over all samples (256,), int64."""
        return np.sum([sample.counts for sample in self.samples] or [np.zeros(256)], axis=0)


@dataclass
class DataReport:
    """Report on a data set: splits, those with the same files once; problems; notes; warnings."""

    splits: list[SplitFiles]
    problems: list[Problem]
    notes: list[str] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def num_samples(self) -> int:
        """Samples of all splits."""
        return sum(len(split.pairs) for split in self.splits)

    def add(self, problems: Sequence[Problem]) -> None:
        """Add new problems; two splits may share their files."""
        self.problems += [p for p in dict.fromkeys(problems) if p not in self.problems]


def list_splits(data: PairsOnDisk) -> DataReport:
    """Pair the files of all splits and continue past errors; nothing is decoded."""
    report, missing = DataReport([], []), []
    for name in SPLITS:
        try:
            pairs = data.pairs(name)
        except MissingSplitError as error:
            missing.append(error)
            report.notes.append(f"{name}: no such split.")
            continue
        except PairingError as error:
            report.add(error.problems)
            pairs = list(error.pairs)
        except DataError as error:
            report.add([Problem(NO_SPLIT, data.root, str(error))])
            continue
        report.warnings += [w for w in nested_images(pairs) if w not in report.warnings]
        if not pairs:
            report.notes.append(f"{name}: no sample.")
            continue
        same = next((split for split in report.splits if split.pairs == pairs), None)
        if same:
            same.names.append(name)
        else:
            report.splits.append(SplitFiles([name], pairs))
    if not report.splits and not report.problems:
        raise DataError(f"{missing[0]} {where_to_get(data)}")
    return report


def nested_images(pairs: Sequence[Pair]) -> list[Problem]:
    """Warnings of images in sub-directories of those that are read."""
    folders = sorted({file.parent for pair in pairs for file in pair.files if file.exists()})
    return [
        Problem(NESTED, sub, f"{sub} has {len(image_files(sub))} images, not read; move them up.")
        for folder in folders
        for sub in folders_of_images(folder)
        if sub not in folders
    ]


def check_data(
    data: PairsOnDisk,
    workers: int | None = None,
    report: DataReport | None = None,
    read: Callable[[Pair, np.ndarray], Scanned] | None = None,
) -> DataReport:
    """Read all files of a data set, or of the splits in ``report``; ``read`` as in ``scan``."""
    report = report or list_splits(data)
    for split in report.splits:
        split.samples = scan(split.pairs, data.lookup(), workers, read)
        training = "train" in split.names
        report.add(problems_of(split.samples))
        lookup, value_range = data.lookup(), data.range
        report.add(problems_of_set(split.pairs, split.samples, lookup, training, value_range))
        report.warnings += warnings_of(split.samples)
        report.notes += notes_on(split, data)
    return report


def notes_on(split: SplitFiles, data: PairsOnDisk) -> list[str]:
    """Notes on unusual but valid labels of a split."""
    labelled = [
        (pair, sample.counts)
        for pair, sample in zip(split.pairs, split.samples, strict=True)
        if pair.labels and sample.good
    ]
    empty = [pair.name for pair, counts in labelled if not counts[: data.num_classes].any()]
    names = np.array(data.label_space.names)
    absent = names[split.counts[: data.num_classes] == 0].tolist() if labelled else []
    notes = [
        f"{split.title}: {what} {listing(names)}."
        for what, names in (("no label at all in", empty), ("no pixel of", absent))
        if names
    ]
    deep = sum(sample.extent is not None for sample in split.samples)
    if (extent := extent_of_set(split.samples)) is not None:
        given = "" if data.range is None else " to be scaled by {:g} to {:g}".format(*data.range)
        notes.append(
            f"{split.title}: {deep} of {len(split.samples)} photos have more than eight bits, "
            f"values {extent[0]:g} to {extent[1]:g}{given}."
        )
    return notes


def listing(names: Sequence[str], limit: int = 10) -> str:
    """The first names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def where_to_get(data: PairsOnDisk) -> str:
    """Official page and archives of a data set, as a sentence; nothing is ever downloaded."""
    if data.ARCHIVES is None:
        return f"{type(data).__name__} is your own data; --data.help describes its folders."
    page, files = data.ARCHIVES
    return (
        f"{type(data).__name__} is not downloaded: get {' and '.join(files)} from {page}, accept "
        "the terms there, unpack, and pass the folder as --root."
    )
