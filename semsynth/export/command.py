"""What ``semsynth export`` does: open, set thresholds once, draw and write, complete."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from semsynth import __version__
from semsynth.data import DataError, SynthesisDataModule
from semsynth.data.labels import LabelSpace
from semsynth.export import opening
from semsynth.export.calibration import by_precision, by_share
from semsynth.export.copies import NearestPhoto
from semsynth.export.edits import MaskEdit, warp_masks
from semsynth.export.filters import Scores, Thresholds
from semsynth.export.finish import finish
from semsynth.export.job import CARD, Judged, Plan, lock_of, run, start_card, write_text
from semsynth.export.judges import Judges, class_agreement
from semsynth.export.sharding import read_shard
from semsynth.export.sources import (
    Drawn,
    MaskSource,
    SampleSource,
    Source,
    labelled_samples,
    pseudo_labels,
)
from semsynth.export.styles import PhotoStyles
from semsynth.export.writers import FolderWriter, ShardWriter
from semsynth.images import from_uint8, to_uint8
from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.networks.noise import sample_seed
from semsynth.weights.download import sha256_of

MANY_MASKS = 20  # enough to keep the samples of one mask in one split
PILOT = 128  # samples whose best share sets the thresholds of --keep
OF_JUDGES = ("agreement", "class_agreement", "disagreement")


@torch.no_grad()  # and not inference_mode, whose tensors an inversion could not use
def export(options: Namespace) -> None:
    """Run the command.

    Raises:
        DataError: Files are missing or of something else.
        MissingWeightsError: There is no such prior.
        ValueError: Options make no sense.
    """
    check_options(options)
    shard = read_shard(options.shard)
    writer = (FolderWriter if options.format == "folder" else ShardWriter)(options.output)
    work = Work(options)
    card = {
        "what": "labelled images",
        "origin": work.source.describe() | work.origin,
        **{key: getattr(options, key) for key in IDENTITY},
        "judges": [file_hash(name) for name in options.judges],
        "num": work.plan.num,
        "semsynth": __version__,
    }
    with lock_of(options.output):
        stored = start_card(options.output, card)
        if "thresholds" not in stored:
            stored["thresholds"] = work.calibrate().to_json()
            write_text(options.output / CARD, json.dumps(stored, indent=1) + "\n")
    thresholds = Thresholds(**stored["thresholds"])
    run(work.plan, work.judged, thresholds, writer, shard)
    complete = finish(work.plan, work.space, thresholds, writer)
    state = "complete; look at sheets/ and report.md" if complete else "waits for the other parts"
    Console(stderr=True).print(f"{options.output} {state}.", soft_wrap=True)


IDENTITY = (
    *("seed", "split", "format", "filters", "keep", "target_precision", "min_distance"),
    *("batch_size", "chunk"),
)
"""Options that say what is exported; another value is another export."""


def check_options(options: Namespace) -> None:
    """Refuse numbers and combinations that make no sense.

    Raises:
        ValueError: There are such.
    """
    opening.require_one_source(options)
    for name in ("batch_size", "chunk", "styles"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}.")
    if options.num is not None and options.num < 1:
        raise ValueError(f"--num must be at least 1, got {options.num}.")
    if min(options.split) < 0 or abs(sum(options.split) - 1) > 1e-6:
        raise ValueError(f"--split must be three shares that add up to 1, got {options.split}.")
    if not 0 < options.keep <= 1:
        raise ValueError(f"--keep must lie in 0..1, got {options.keep}.")
    if (options.target_precision is None) != (options.held_out is None):
        raise ValueError("--target_precision is measured on --held_out; give both or none.")
    if needing := [name for name in options.filters if name in OF_JUDGES and not options.judges]:
        raise ValueError(f"The filter {needing[0]} needs --judges, segmenters of these classes.")
    if "disagreement" in options.filters and len(options.judges) < 2:
        raise ValueError("The filter disagreement compares several --judges; name at least two.")


class Work:
    """All that an export works with.

    Args:
        options: The command line.
    """

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.method: opening.Exporter
        self.data: SynthesisDataModule
        self.origin: dict[str, Any]
        if options.prior is not None:
            self.method, self.data, self.labelled = opening.open_prior(options, self.device)
            self.origin = {"labelled": self.labelled[2]}
        else:
            self.method, self.data = opening.open_checkpoint(options.ckpt_path, self.device)
            self.labelled = labelled_samples(self.data)
            self.origin = {"checkpoint": sha256_of(options.ckpt_path)}
        self.space: LabelSpace = self.data.label_space
        self.masks, self.by_mask = torch.zeros(0), False
        samples = options.prior is not None or options.source == "samples"
        self.source = self._samples() if samples else self._masks()
        self.plan = self._plan()
        self.judged = self._judged()

    def calibrate(self) -> Thresholds:
        """Thresholds of the filters that are on."""
        options = self.options
        copies = options.min_distance if "copies" in options.filters else None
        if not set(options.filters) - {"copies"}:
            return Thresholds(copies=copies)
        if options.target_precision is not None:
            found = self._by_precision()
        else:
            index = torch.arange(min(PILOT, self.plan.num))
            parts = [self.judged(i) for i in index.split(options.batch_size)]
            mask = torch.cat([drawn.mask for drawn, _ in parts])
            found = by_share(options.filters, options.keep, mask, joined([s for _, s in parts]))
        found.copies = copies
        return found

    def _plan(self) -> Plan:
        options = self.options
        num = options.num or options.styles * len(self.masks)
        if not num:
            raise ValueError("Samples are without end; say how many with --num.")
        shares = (options.split[0], options.split[1], options.split[2])
        sizes = (num, options.seed, options.chunk, options.batch_size)
        return Plan(options.output, *sizes, shares, self.by_mask, self.space.num_classes)

    def _judged(self) -> Judged:
        names, classes = self.options.judges, self.space.num_classes
        judges = Judges(names, classes, self.device) if names else None
        photos = NearestPhoto(self.labelled[0], self.labelled[2], self.device)
        return Judged(self.source, classes, judges, photos)

    def _samples(self) -> Source:
        if not isinstance(self.method, FewShotSMIS):
            raise DataError(
                f"{type(self.method).__name__} has no samples without masks; leave out --source, "
                "or give a checkpoint of FewShotSMIS."
            )
        return SampleSource(self.method, self.options.seed, self.options.truncation)

    def _masks(self) -> Source:
        options = self.options
        if options.masks is None:
            self.masks, names = self.labelled[1], self.labelled[2]
        else:
            self.masks, names = opening.read_masks(options.masks, self.data)
        edit = options.edit or ("warp" if options.masks is None else "none")
        self.by_mask = edit == "none" and not options.paste and len(self.masks) >= MANY_MASKS
        flip = torch.from_numpy(self.space.flip_lookup())
        paste = class_numbers(options.paste, self.space)
        change = MaskEdit(self.space.num_classes, edit == "warp", paste, flip)
        given = (self.method, self.masks, names, options.seed, options.styles, change)
        return MaskSource(*given, self._photos())

    def _photos(self) -> PhotoStyles | None:
        if self.options.style == "drawn":
            return None
        if not isinstance(self.method, CLVAE):
            raise DataError(
                f"{type(self.method).__name__} has no codes of single classes; leave out --style."
            )
        image, mask = (x.to(self.device) for x in self.labelled[:2])
        return PhotoStyles(self.method, from_uint8(image), mask.long())

    def _by_precision(self) -> Thresholds:
        options, classes = self.options, self.space.num_classes
        size = (self.data.image_size[0], self.data.image_size[1])
        image, mask = opening.read_held_out(options.held_out, self.space, size)
        image, mask = image.to(self.device), mask.to(self.device)
        found = margin = prediction = wrong = None
        if "margin" in options.filters and isinstance(self.method, FewShotSMIS):
            found, margin = pseudo_labels(self.method, self.method.invert(image))
        scores = self.judged.score(Drawn(to_uint8(image), mask, [], [], margin))
        if self.judged.judges is not None:
            prediction = self.judged.judges(to_uint8(image)).mean(0).argmax(1)
            seed = sample_seed(options.seed, torch.arange(len(mask)), 2)
            flip = torch.from_numpy(self.space.flip_lookup())
            moved = warp_masks(mask.cpu(), seed, flip).to(self.device)
            wrong = class_agreement(prediction, moved, classes)
        given = (options.filters, options.target_precision, mask, scores)
        return by_precision(*given, found, prediction, wrong)


def joined(parts: list[Scores]) -> Scores:
    """Scores of several batches as those of one."""
    columns: dict[str, Any] = {}
    for name in ("margin", "disagreement", "class_agreement", "distance"):
        values: list[Tensor] = [getattr(part, name) for part in parts]
        columns[name] = None if values[0] is None else torch.cat(values)
    return Scores(**columns)


def class_numbers(names: list[str], space: LabelSpace) -> list[int]:
    """Numbers of classes by name.

    Raises:
        ValueError: There is no such class.
    """
    if unknown := [name for name in names if name not in space.names]:
        known = ", ".join(space.names)
        raise ValueError(f"There is no class {unknown[0]!r} to paste; the classes are {known}.")
    return [space.names.index(name) for name in names]


def choose_device(name: str | None) -> torch.device:
    """The device that is asked for, or the GPU of this process, or the processor."""
    if name is not None:
        return torch.device(name)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def file_hash(name: str) -> str:
    """A judge as the card has it: the hash of its file, or its name."""
    return sha256_of(Path(name)) if Path(name).is_file() else name
