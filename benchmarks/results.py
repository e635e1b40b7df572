"""``results.jsonl``: one line a run; ``results.csv`` says the same."""

import csv
import hashlib
import io
import json
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semsynth.files import replaced, write_text

Row = dict[str, Any]
PACKAGE = Path(__file__).parents[1] / "semsynth"
OTHER_ROOMS = ("cli", "studio", "export", "interop")
ABOUT = ("sweep", "run", "method", "data", "seed")  # first columns of the CSV file
LAST = (  # its last columns
    *("images_per_second", "train_seconds", "peak_memory_gib", "device", "num_processes"),
    *("seconds", "config_hash", "commit", "error"),
)


def read_results(output: Path) -> list[Row]:
    """Rows in the order in which they were added, without lines that were cut off."""
    return read_rows(output / "results.jsonl")


def read_rows(file: Path) -> list[Row]:
    """Rows of a file, none if there is none."""
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # cut off by a copy or an older version; its run is repeated
    return rows


def latest_rows(output: Path) -> list[Row]:
    """The last row of each run, in the order in which the runs were first added."""
    return list({row["run"]: row for row in read_results(output)}.values())


def append_result(output: Path, row: Row) -> None:
    """Append a row, and rewrite the CSV file; what was cut off goes."""
    rows = [*read_results(output), row]
    with replaced(output / "results.jsonl", durable=True) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_text(output / "results.csv", as_csv(latest_rows(output)))


def as_csv(rows: Sequence[Row]) -> str:
    """A line a run: what it is, its parameters, its scores and what it cost."""
    flat = []
    for row in rows:
        known = {key: row[key] for key in (*ABOUT, *LAST) if key in row}
        costs = {key: value for key, value in row.get("cost", {}).items() if key in LAST}
        flat.append(known | row.get("parameters", {}) | row.get("scores", {}) | costs)
    found = dict.fromkeys(key for row in flat for key in row)
    middle = [key for key in found if key not in (*ABOUT, *LAST)]
    text = io.StringIO()
    table = csv.DictWriter(text, [*ABOUT, *middle, *LAST], lineterminator="\n")
    table.writeheader()
    table.writerows(flat)
    return text.getvalue()


def package_digest() -> str:
    """Digest of the package, without the rooms that no run of a sweep depends on."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*")):
        place = file.relative_to(PACKAGE)
        if file.is_file() and not {"__pycache__", *OTHER_ROOMS} & set(place.parts):
            digest.update(place.as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def code_of(parameters: dict[str, Any], package: str) -> str:
    """Digest of the code of a run: a ``package_digest`` and its configuration file."""
    file = Path(*shlex.split(parameters.get("config", ""))[:1])
    content = file.read_bytes() if file.is_file() else b""
    return hashlib.sha256(package.encode() + content).hexdigest()[:12]


def current_commit() -> str:
    """The commit of the working tree, marked if the tree has been changed."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return "unknown"
    return done.stdout.strip() or "unknown"
