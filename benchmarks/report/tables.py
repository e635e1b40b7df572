"""The tables of the report: which runs may be compared, and by which scores."""

import os
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import yaml

from benchmarks.claims import Decision, read_claims
from benchmarks.results import Row, code_of, package_digest
from benchmarks.rows import LOWER_IS_BETTER, Entry, entries
from semsynth.files import read_json
from semsynth.metrics import protocol
from semsynth.metrics.layout_fidelity import PER_CLASS, iou_name

NOT_SHOWN = ("_real", "_std", "_stderr")
"""Ends of names of scores that are the same for all runs, or say how another one spreads."""
HEADLINES = (  # the first five that were measured stand in the tables, the rest below them
    *("FID", "fd_", "drag_error_parts", "MeanIoU", "diversity_", "top1_", "anchor_drift_parts"),
    *("mOCD_mCSD", "zoom_error_parts", "points_lost_parts", "drag_gain_parts", "PixelAccuracy"),
)
SECONDARY = ("_ratio", "PixelAccuracyAll", "FrequencyWeightedIoU")  # ends of names; never there
COSTS = {
    "images_per_second": "images/s",
    "train_seconds": "training, s",
    "seconds_per_image": "s per generated image",
    "peak_memory_gib": "peak memory, GiB",
    "num_processes": "processes",
    "device": "device",
}


class Published(NamedTuple):
    """A number that a paper prints; ``differs`` says why ours is not comparable digit by digit."""

    label: str
    name: str
    value: float
    source: str
    differs: str


@cache
def published(data: str | None) -> tuple[Published, ...]:
    """The numbers of papers on a data set."""
    tables = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text())
    return tuple(
        Published(label, name, value, table["source"], table.get("differs", ""))
        for table in tables
        if table["data"] == data
        for label, scores in table["scores"].items()
        for name, value in scores.items()
    )


class Table:
    """Rows of one protocol, beside the report's first: a line for each method."""

    def __init__(self, rows: Sequence[Row], first: Sequence[Row]) -> None:
        for a, b in pairwise(row for row in rows if "scores" in row):
            protocol.require_same(a.get("protocol"), b.get("protocol"), (a["run"], b["run"]))
        self.rows = rows = with_class_names(rows)
        self.cards = [row["protocol"] for row in rows if row.get("protocol")]
        self.card: dict[str, Any] = self.cards[0] if self.cards else {}
        scores = dict.fromkeys(name for row in rows for name in row.get("scores", {}))
        shown = [name for name in scores if not name.endswith(NOT_SHOWN)]
        self.names = [name for name in shown if not name.startswith(PER_CLASS)]
        found = [name for name in self.names if not name.endswith(SECONDARY)]
        self.headlines = sorted(found, key=rank)[:5]
        self.lines = entries(rows)
        self.notes = self.notes_beside(first)
        self.papers = published(self.card.get("data"))
        self.printed = [n for n in self.headlines if any(p.name == n for p in self.papers)]
        ours = [line.label for line in self.lines]
        self.papers_alone = dict.fromkeys(p.label for p in self.papers if p.label not in ours)

    @property
    def caption(self) -> str:
        """Data, number and size of the images that it was measured on."""
        size = "x".join(map(str, self.card.get("image_size", [])))
        count = self.card.get("num_images")
        parts = [self.card.get("data") or "Scores", f"{count} test images" if count else "", size]
        return ", ".join(part for part in (*parts, self.seeds) if part)

    @property
    def seeds(self) -> str:
        """How many seeds the lines have."""
        scored = {len(line.rows) - len(line.failed) for line in self.lines if not line.oracle}
        numbers = sorted(scored - {0})
        words = " to ".join(map(str, dict.fromkeys((*numbers[:1], *numbers[-1:]))))
        return f"{words} {'seed' if words == '1' else 'seeds'}" if words else ""

    def notes_beside(self, first: Sequence[Row]) -> list[str]:
        """Why the rows stand apart from the first table, and what else to know of them."""
        found = []
        if self.rows is not first:
            keys = differing(first[0], self.rows[0])
            why = "other data" if "data" in keys else protocol.describe(keys)
            found.append(f"Not comparable with the first table: {why}.")
        versions = [protocol.version_differences(self.card, card) for card in self.cards[1:]]
        if changed := {f"{k} {a} and {b}": None for v in versions for k, (a, b) in v.items()}:
            found.append(f"Measured by different versions: {', '.join(changed)}.")
        commits = sorted({str(row["commit"]) for row in self.rows if "commit" in row})
        if len(commits) > 1:
            named = f": {', '.join(commits)}" if len(commits) < 4 else ""
            found.append(f"Run from {len(commits)} commits{named}.")
        package = package_digest()
        changed_since = [
            line.name
            for line in self.lines
            if any(
                row.get("code") not in (None, code_of(row["parameters"], package))
                for row in line.rows
                if "scores" in row and not line.oracle
            )
        ]
        if changed_since:
            found.append(
                "Their code has changed since (--refresh repeats them): "
                f"{', '.join(changed_since)}."
            )
        return found

    def wins(self, line: Entry, name: str) -> bool:
        """Whether a line has the best value of a column."""
        values = line.values(name)
        return bool(values) and not line.oracle and mean(values) == best(self.lines, name)

    def paper(self, label: str, name: str) -> Published | None:
        """What a paper prints."""
        return next((p for p in self.papers if (p.label, p.name) == (label, name)), None)

    @property
    def classes(self) -> dict[str, str]:
        """Name of each class by the name of its IoU."""
        scores = dict.fromkeys(name for row in self.rows for name in row.get("scores", {}))
        found = [name for name in scores if name.startswith(PER_CLASS)]
        return {name: name.removeprefix(PER_CLASS).replace("_", " ") for name in found}


def with_class_names(rows: Sequence[Row]) -> list[Row]:
    """Rows in which the IoU of a class bears its name; older runs wrote ``IoU_class_3``."""
    files = [Path(row.get("run_dir", "")) / "classes.json" for row in rows]
    found: Any = next((read_json(file) for file in files if file.is_file()), [])
    names = found if isinstance(found, list) else []
    new = {f"{PER_CLASS}class_{i}": iou_name(str(name)) for i, name in enumerate(names)}
    return [
        row | {"scores": {new.get(name, name): value for name, value in row["scores"].items()}}
        if "scores" in row
        else row
        for row in rows
    ]


def best(lines: Sequence[Entry], name: str) -> float | None:
    """Best mean of a score over the methods; the oracle does not compete."""
    values = [mean(line.values(name)) for line in lines if line.values(name) and not line.oracle]
    if not values:
        return None
    return min(values) if name.startswith(LOWER_IS_BETTER) else max(values)


def rank(name: str) -> int:
    """Place of a score among the headlines."""
    task_less = name.rsplit("/", 1)[-1]
    return next((i for i, h in enumerate(HEADLINES) if task_less.startswith(h)), len(HEADLINES))


def comparable_groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Split rows by protocol; runs without scores go with the first group."""
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: "scores" not in row):  # stable; scores come first
        fits = (g for g in groups if "scores" not in row or not differing(g[0], row))
        if (group := next(fits, None)) is None:
            groups.append(group := [])
        group.append(row)
    return [[row for row in rows if any(row is member for member in g)] for g in groups]


def differing(a: Row, b: Row) -> dict[str, tuple[Any, Any]]:
    """Keys in which the protocols of two rows differ, with both values."""
    return protocol.differences(a.get("protocol"), b.get("protocol"))


def tables(rows: Sequence[Row]) -> list[Table]:
    """A table for each protocol."""
    groups = comparable_groups(rows)
    return [Table(group, groups[0]) for group in groups]


def decide(found: Sequence[Table]) -> list[Decision]:
    """What the tables say of the claims."""
    return [
        Decision(claim, table.card.get("data") or "", verdicts)
        for claim in read_claims()
        for table in found
        if (verdicts := claim.decide(table.lines))
    ]


def links(line: Entry, output: Path) -> list[str]:
    """The directories of a line's runs, relative to the page."""
    return [os.path.relpath(row["run_dir"], output) for row in line.rows if "run_dir" in row]
