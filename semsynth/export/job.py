"""An export: chunks of samples, by any number of processes, resumable if killed.

The images of a chunk depend only on its number. A chunk is done when its part of the manifest
exists, which is written last; the process that finds all parts completes the data set.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from semsynth.data import DataError
from semsynth.export.copies import NearestPhoto
from semsynth.export.filters import Scores, Thresholds, Verdict, judge
from semsynth.export.judges import Judges, class_agreement, count_pixels, disagreement
from semsynth.export.sources import Drawn, Source
from semsynth.export.writers import DROPPED, Sample, Writer
from semsynth.files import read_json, write_text

SPLITS = ("train", "val", "test")
PARTS = ".parts"
CARD = "card.json"


@dataclass(frozen=True)
class Plan:
    """Description of an export, the same in each process.

    Attributes:
        output: Directory of the data set.
        num: Number of samples, dropped ones included.
        seed: Seed of the export.
        chunk: Samples of a chunk.
        batch_size: Samples of a batch.
        shares: Shares of train, val and test; they sum to 1.
        by_origin: Keep all samples of a mask in the same split.
        num_classes: Number of classes.
    """

    output: Path
    num: int
    seed: int
    chunk: int
    batch_size: int
    shares: tuple[float, float, float]
    by_origin: bool
    num_classes: int

    @property
    def chunks(self) -> range:
        """Numbers of the chunks."""
        return range(math.ceil(self.num / self.chunk))

    def part(self, chunk: int) -> Path:
        """Part of the manifest that marks a chunk as done."""
        return self.output / PARTS / f"{chunk:06d}.jsonl"

    def batches(self, chunk: int) -> tuple[Tensor, ...]:
        """Sample indices of a chunk by batch; another batch size could round differently."""
        end = min((chunk + 1) * self.chunk, self.num)
        return torch.arange(chunk * self.chunk, end).split(self.batch_size)

    def split_of(self, index: int, origin: str) -> str:
        """The split of a sample, from a hash of its index or of its mask."""
        key = f"{self.seed}/{origin if self.by_origin else index}"
        place = int(hashlib.sha256(key.encode()).hexdigest()[:13], 16) / 16**13
        ends = (self.shares[0], self.shares[0] + self.shares[1])
        return SPLITS[sum(place >= end for end in ends)]


class Judged:
    """Samples with their scores."""

    def __init__(
        self,
        source: Source,
        num_classes: int,
        judges: Judges | None = None,
        photos: NearestPhoto | None = None,
    ) -> None:
        self.source, self.num_classes = source, num_classes
        self.judges, self.photos = judges, photos

    def __call__(self, index: Tensor) -> tuple[Drawn, Scores]:
        """The samples of indices (B,) and their scores."""
        drawn = self.source(index)
        return drawn, self.score(drawn)

    def score(self, drawn: Drawn) -> Scores:
        """Scores of labelled images."""
        scores = Scores(margin=drawn.margin)
        if self.judges is not None:
            probabilities = self.judges(drawn.image)
            prediction = probabilities.mean(0).argmax(1)
            scores = scores._replace(
                disagreement=disagreement(probabilities),
                class_agreement=class_agreement(prediction, drawn.mask, self.num_classes),
            )
        if self.photos is not None:
            distance, nearest = self.photos(drawn.image)
            scores = scores._replace(distance=distance, nearest=nearest)
        return scores


def read_shard(text: str | None) -> tuple[int, int]:
    """I, from 0, and N of ``I/N``; by default those of torchrun."""
    if text is None:
        text = f"{os.environ.get('RANK', 0)}/{os.environ.get('WORLD_SIZE', 1)}"
    try:
        part, parts = map(int, text.split("/"))
    except ValueError:
        part, parts = 0, 0
    if not 0 <= part < parts:
        raise ValueError(f"--shard must be I/N with I from 0 to N - 1, got {text!r}.")
    return part, parts


def run(
    plan: Plan, judged: Judged, thresholds: Thresholds, writer: Writer, shard: tuple[int, int]
) -> None:
    """Write the missing chunks of a shard."""
    mine = [c for c in plan.chunks if c % shard[1] == shard[0]]
    todo = [c for c in mine if not plan.part(c).is_file()]
    columns = TextColumn("{task.description}"), BarColumn(), Speed(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Exporting", total=sum(len(torch.cat(plan.batches(c))) for c in todo))
        for chunk in todo:
            samples: list[Sample] = []
            for index in plan.batches(chunk):
                samples += make(plan, judged, thresholds, index)
                bar.advance(task, len(index))
            writer.write(chunk, samples)
            lines = "".join(json.dumps(sample.record) + "\n" for sample in samples)
            write_text(plan.part(chunk), lines)


def make(plan: Plan, judged: Judged, thresholds: Thresholds, index: Tensor) -> list[Sample]:
    """The samples of a batch with their records."""
    drawn, scores = judged(index)
    verdict = judge(drawn.mask, scores, thresholds)
    columns = measures(drawn, scores, verdict, plan)
    images, masks = drawn.image.cpu(), verdict.mask.cpu()
    samples = []
    for i, number in enumerate(index.tolist()):
        reasons, origin = verdict.reasons[i], drawn.origin[i]
        record = {
            "name": f"{number:07d}",
            "split": DROPPED if reasons else plan.split_of(number, origin),
            "source": origin,
            **{name: values[i] for name, values in columns.items()},
        }
        if reasons:
            record["dropped_for"] = reasons
        samples.append(Sample(images[i], masks[i], record))
    return samples


def measures(drawn: Drawn, scores: Scores, verdict: Verdict, plan: Plan) -> dict[str, list[Any]]:
    """Columns of the manifest for the images of a batch."""
    C, maps = plan.num_classes, (drawn.mask, verdict.mask)
    before, after = (count_pixels(m.where(m < C, C), C) for m in maps)
    pixels = {"disagreement": scores.disagreement, "margin": scores.margin}
    tensors = {
        "confidence": scores.confidence(len(drawn.mask)),
        "agreement": scores.agreement,
        **{k: None if v is None else v.flatten(1).mean(1) for k, v in pixels.items()},
        "distance": scores.distance,
        "labelled": after.sum(1) / drawn.mask[0].numel(),
        "class_labelled": (after / before).masked_fill(before == 0, torch.nan),
        "class_agreement": scores.class_agreement,
        **{f"removed_by_{name}": share for name, share in verdict.removed.items()},
    }
    columns = {name: rounded(values) for name, values in tensors.items() if values is not None}
    return {"seed": drawn.seed} | columns | ({"nearest": scores.nearest} if scores.nearest else {})


def rounded(values: Tensor) -> list[Any]:
    """Numbers with five digits; None for NaN."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [None if math.isnan(v) else round(v, 5) for v in values.tolist()]


def start_card(output: Path, card: dict[str, Any]) -> dict[str, Any]:
    """The stored card of the export if it agrees with this one, else this one."""
    stored = stored_card(output, card)
    if stored is None and any(not path.name.startswith(".") for path in output.glob("*")):
        raise DataError(f"{output} contains other files; choose an empty directory.")
    return stored or card


def stored_card(output: Path, card: dict[str, Any]) -> dict[str, Any] | None:
    """The card in a directory, which must agree with ``card``; None without one."""
    file = output / CARD
    if not file.is_file():
        return None
    stored: dict[str, Any] = read_json(file)
    if not isinstance(stored, dict):
        raise DataError(f"{file} is not an object; choose another directory.")
    for key, value in json.loads(json.dumps(card)).items():
        if stored.get(key) != value:
            raise DataError(
                f"{output} was written with {key} {stored.get(key)}, not {value}; choose another "
                "directory."
            )
    return stored


def lock_of(output: Path) -> filelock.BaseFileLock:
    """The lock of the process that starts or completes the data set."""
    output.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(output / ".lock")


def records(plan: Plan) -> Iterator[tuple[int, dict[str, Any]]]:
    """Chunk and line of the manifest of each sample, in order."""
    for chunk in plan.chunks:
        for line in plan.part(chunk).read_text().splitlines():
            yield chunk, json.loads(line)


class Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        """The column of a task."""
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")
