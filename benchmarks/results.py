"""``results.jsonl``: one line a run; ``results.csv`` says the same."""

import csv
import hashlib
import io
import json
import shlex
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from semsynth.files import replaced, write_bytes, write_text

Row = dict[str, Any]
PACKAGE = Path(__file__).parents[1] / "semsynth"
OTHER_ROOMS = ("cli", "studio", "export", "interop")
ABOUT = ("sweep", "run", "method", "data", "seed")  # first columns of the CSV file
LAST = (  # its last columns
    *("images_per_second", "train_seconds", "seconds_per_image", "peak_memory_gib"),
    *("device", "num_processes"),
    *("seconds", "config_hash", "commit", "error"),
)
KINDS: dict[str, Any] = {  # of what the report reads of a row
    **{"run": str, "run_dir": str, "method": str, "parameters": dict, "varied": (list, tuple)},
    **{"scores": dict, "cost": dict, "protocol": dict | None, "error": str},
}


def read_results(output: Path) -> list[Row]:
    """Rows in the order in which they were added, without damaged ones."""
    return read_rows(output / "results.jsonl")


def read_rows(file: Path) -> list[Row]:
    """Rows of a file without damaged ones; none if there is no file."""
    return [row for line in lines_of(file) if (row := row_from(line)) is not None]


def set_aside(output: Path) -> None:
    """Move damaged rows to ``results.damaged.jsonl``, and say so."""
    whole: list[bytes] = []
    damaged: list[bytes] = []
    for line in lines_of(output / "results.jsonl"):
        (damaged if row_from(line) is None else whole).append(line + b"\n")
    if not damaged:
        return
    aside = output / "results.damaged.jsonl"
    before = aside.read_bytes() if aside.is_file() else b""
    write_bytes(aside, before + b"".join(damaged))
    write_bytes(output / "results.jsonl", b"".join(whole))
    print(f"Damaged rows: {len(damaged)}, moved to {aside}. Their runs are repeated.", flush=True)


def lines_of(file: Path) -> list[bytes]:
    """Lines of a file of results."""
    return [line for line in file.read_bytes().split(b"\n") if line] if file.is_file() else []


def row_from(line: bytes) -> Row | None:
    """The row of a line; None if it is damaged."""
    row = object_in(line)
    return row if row is not None and is_row(row) else None


def is_row(row: Row) -> bool:
    """Whether an object is the row of a run; those of studies have no parameters."""
    if not all(isinstance(row[key], kind) for key, kind in KINDS.items() if key in row):
        return False
    known = all(str(key) in row.get("parameters", ()) for key in row.get("varied", ()))
    numbers = all(isinstance(value, int | float) for value in row.get("scores", {}).values())
    has_end = "run" in row and ("scores" in row or "error" in row)
    return has_end and known and numbers and ("parameters" in row) == ("varied" in row)


def read_damaged(file: Path) -> Row | None:
    """The object in a file of a run; one that is damaged is moved, and gives None."""
    if (content := object_in(file.read_bytes())) is None:
        aside = file.replace(file.with_name(f"{file.name}.damaged"))
        print(f"{file} is damaged; moved to {aside.name}. Its run is repeated.", flush=True)
    return content


def object_in(content: bytes) -> Row | None:
    """The JSON object in a file or line; None if it is damaged."""
    with suppress(ValueError, RecursionError):  # of JSON and of UTF-8
        if isinstance(value := json.loads(content), dict):
            return value
    return None


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
