"""The tables of the report, of which the templates and the terminal show the same cells."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.report.rows import (
    PER_CLASS,
    Entry,
    Published,
    best,
    columns,
    comparable_groups,
    differing,
    entries,
    published,
    require_comparable,
    version_notes,
)
from benchmarks.results import Row
from semsynth.metrics.protocol import describe

COSTS = {
    "images_per_second": "images/s",
    "train_seconds": "training, s",
    "peak_memory_gib": "peak memory, GiB",
    "num_processes": "processes",
    "device": "device",
}


class Table:
    """Rows of one protocol, beside the report's first: a line for each method."""

    def __init__(self, rows: Sequence[Row], first: Sequence[Row]) -> None:
        require_comparable(rows)
        self.rows = rows
        self.cards = [row["protocol"] for row in rows if row.get("protocol")]
        self.card: dict[str, Any] = self.cards[0] if self.cards else {}
        self.lines, self.names = entries(rows), columns(rows)
        self.winners = {name: best(self.lines, name) for name in self.names}
        self.notes = self.notes_beside(first)
        self.papers = published(self.card.get("data"))
        self.printed = [n for n in self.names if any(p.name == n for p in self.papers)]
        labels = {line.label for line in self.lines}
        self.papers_alone = list(
            dict.fromkeys(p.label for p in self.papers if p.label not in labels)
        )

    @property
    def caption(self) -> str:
        """Data, number and size of the images that it was measured on."""
        size = "x".join(map(str, self.card.get("image_size", [])))
        count = self.card.get("num_images")
        parts = [self.card.get("data") or "Scores", f"{count} test images" if count else "", size]
        return ", ".join(part for part in parts if part)

    def notes_beside(self, first: Sequence[Row]) -> list[str]:
        """Why the rows stand apart from the first table, and what else to know of them."""
        found = []
        if self.rows is not first:
            keys = differing(first[0], self.rows[0])
            why = "other data" if "data" in keys else describe(keys)
            found.append(f"Not comparable with the first table: {why}.")
        if versions := version_notes(self.cards):
            found.append(f"Measured by different versions: {', '.join(versions)}.")
        commits = sorted({str(row["commit"]) for row in self.rows if "commit" in row})
        if len(commits) > 1:
            found.append(f"Run from different commits: {', '.join(commits)}.")
        return found

    def wins(self, line: Entry, name: str) -> bool:
        """Whether a line has the best value of a column."""
        values = line.values(name)
        return bool(values) and not line.oracle and mean(values) == self.winners[name]

    def paper(self, label: str, name: str) -> Published | None:
        """What a paper prints."""
        return next((p for p in self.papers if (p.label, p.name) == (label, name)), None)

    @property
    def sources(self) -> list[str]:
        """Where the published numbers stand, and how their protocols differ."""
        texts = [
            f"† {p.source}: {p.differs}." if p.differs else f"{p.source}." for p in self.papers
        ]
        return list(dict.fromkeys(texts))

    @property
    def classes(self) -> dict[str, str]:
        """Name of each class by the name of its IoU, from the first run that has written them."""
        found = {n for row in self.rows for n in row.get("scores", {}) if PER_CLASS in n}
        numbers = sorted(int(name.removeprefix(PER_CLASS)) for name in found)
        files = [Path(row.get("run_dir", "")) / "classes.json" for row in self.rows]
        written = [json.loads(file.read_text()) for file in files if file.is_file()]
        titles = dict(enumerate(written[0])) if written else {}
        return {f"{PER_CLASS}{n}": titles.get(n, str(n)) for n in numbers}


def tables(rows: Sequence[Row]) -> list[Table]:
    """A table for each protocol."""
    groups = comparable_groups(rows)
    return [Table(group, groups[0]) for group in groups]


def links(line: Entry, output: Path) -> list[str]:
    """The directories of a line's runs, relative to the page."""
    return [os.path.relpath(row["run_dir"], output) for row in line.rows if "run_dir" in row]
