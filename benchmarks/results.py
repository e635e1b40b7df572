"""``results.jsonl``: one line a run, added to and never rewritten."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from semsynth import protocol

Row = dict[str, Any]


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


def append_result(output: Path, row: Row) -> None:
    """Add a row in one write, on a line of its own even after one that was cut off."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "results.jsonl"
    cut_off = file.is_file() and not file.read_bytes().endswith(b"\n")
    with file.open("a") as opened:
        opened.write("\n" * cut_off + json.dumps(row) + "\n")


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
