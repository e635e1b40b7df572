"""``results.jsonl``: one line a run, added to and never rewritten."""

import json
from pathlib import Path
from typing import Any

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
