"""``results.jsonl``: one line a run, added to in one write each; and the same as CSV."""

import csv
import io
import json
import os
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from semsynth.metrics import protocol

Row = dict[str, Any]
ABOUT = ("sweep", "run", "method", "data", "seed")
"""What the CSV file says first about a run."""
LAST = (
    "images_per_second",
    "train_seconds",
    "peak_memory_gib",
    "device",
    "num_processes",
    "seconds",
    "config_hash",
    "commit",
    "error",
)
"""What it says last."""


def read_results(output: Path) -> list[Row]:
    """Rows in the order in which they were added; a line that was cut off is left out."""
    file = output / "results.jsonl"
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the process was killed while it wrote; its run is done again
    return rows


def latest_rows(output: Path) -> list[Row]:
    """The last row of each run, in the order in which the runs were first added."""
    return list({row["run"]: row for row in read_results(output)}.values())


def append_result(output: Path, row: Row) -> None:
    """Add a row in one write, after removing a line that was cut off, and write the CSV anew."""
    mend(output)
    file = output / "results.jsonl"
    with file.open("ab", buffering=0) as opened:
        opened.write(json.dumps(row).encode() + b"\n")
        os.fsync(opened.fileno())
    replace_text(output / "results.csv", as_csv(latest_rows(output)))


def mend(output: Path) -> None:
    """Take out lines that are no rows: the process was killed while it wrote."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "results.jsonl"
    text = file.read_text() if file.is_file() else ""
    whole = "".join(json.dumps(row) + "\n" for row in read_results(output))
    if whole != text:
        replace_text(file, whole)


def as_csv(rows: Sequence[Row]) -> str:
    """A line a run: what it is, its parameters, its scores and what it cost."""
    flat = [flatten(row) for row in rows]
    found = dict.fromkeys(key for row in flat for key in row)
    middle = [key for key in found if key not in (*ABOUT, *LAST)]
    text = io.StringIO()
    table = csv.DictWriter(text, [*ABOUT, *middle, *LAST], lineterminator="\n")
    table.writeheader()
    table.writerows(flat)
    return text.getvalue()


def flatten(row: Row) -> dict[str, Any]:
    """What the CSV file has of a row."""
    about = {key: row[key] for key in (*ABOUT, *LAST) if key in row}
    costs = {key: row["cost"][key] for key in LAST if key in row.get("cost", {})}
    return about | row.get("parameters", {}) | row.get("scores", {}) | costs


def replace_text(file: Path, text: str) -> None:
    """Write a text file under a temporary name and then rename it."""
    temporary = file.with_name(f".{file.name}.part")
    temporary.write_text(text)
    temporary.replace(file)


def current_commit() -> str:
    """The commit of the working tree, with a mark if it has been changed."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def comparable_groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Split rows so that those of a group were measured by one protocol.

    Runs without scores go with the first group.
    """
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: "scores" not in row):  # stable; scores come first
        fits = (group for group in groups if "scores" not in row or not differing(group[0], row))
        group = next(fits, None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    return [[row for row in rows if any(row is member for member in g)] for g in groups]


def differing(a: Row, b: Row) -> dict[str, tuple[Any, Any]]:
    """Keys in which the protocols of two rows differ, with both values."""
    return protocol.differences(a.get("protocol"), b.get("protocol"))


def require_comparable(rows: Sequence[Row]) -> None:
    """Refuse to rank rows that were not measured by one protocol.

    Raises:
        ProtocolError: The protocols of two rows differ; the keys are named.
    """
    measured = [row for row in rows if "scores" in row]
    for a, b in pairwise(measured):
        protocol.require_same(a.get("protocol"), b.get("protocol"), (a["run"], b["run"]))


def version_notes(rows: Sequence[Row]) -> list[str]:
    """What to know about rows whose scores other versions of a library computed."""
    measured = [row for row in rows if row.get("protocol")]
    found: dict[str, None] = {}
    for row in measured[1:]:
        changed = protocol.version_differences(measured[0]["protocol"], row["protocol"])
        found |= dict.fromkeys(f"{name} {a} and {b}" for name, (a, b) in changed.items())
    return list(found)
