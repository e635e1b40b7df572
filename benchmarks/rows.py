"""The runs of a report: what they are called, and means over seeds."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.results import Row
from benchmarks.sweep import last_part, pairs

LOWER_IS_BETTER = (
    *("FID", "KID", "fd_", "kd_", "top1_", "mOCD_", "reconstruction_"),
    *("drag_error", "drag_angle", "points_lost", "anchor_drift", "zoom_error"),
)
TOLD = ("--data.shots", "--shots", "--train_on")  # tell runs apart, beside flags of the model


@dataclass(frozen=True)
class Entry:
    """A line of a table: runs that differ in nothing but the seed."""

    label: str
    rows: tuple[Row, ...]

    @property
    def oracle(self) -> bool:
        """Whether it is an upper bound: the renderer of a toy world, or real photographs."""
        return bool(self.rows[0].get("oracle"))

    @property
    def failed(self) -> list[Row]:
        """Runs that ended with an error."""
        return [row for row in self.rows if "scores" not in row]

    def values(self, name: str) -> list[float]:
        """A score of all runs that have it."""
        return [row["scores"][name] for row in self.rows if name in row.get("scores", {})]

    def cost(self, name: str) -> str:
        """What the runs cost: the mean of a figure, or the words that occur."""
        values = [row["cost"][name] for row in self.rows if name in row.get("cost", {})]
        if not values or isinstance(values[0], str):
            return ", ".join(dict.fromkeys(values))
        return f"{mean(values):.4g}"


def entries(rows: Sequence[Row]) -> list[Entry]:
    """The lines of a table, oracles at the end."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: bool(row.get("oracle"))):
        given = {k: v for k, v in row.get("parameters", {}).items() if k != "seed_everything"}
        identity = json.dumps(given, sort_keys=True)
        groups.setdefault((label(row), identity), []).append(row)
    return [Entry(name, tuple(group)) for (name, _), group in groups.items()]


def label(row: Row) -> str:
    """The name of a run without its seed: the method, and what it goes without."""
    if row.get("oracle"):
        photographs = row["oracle"] == "photographs"
        return "real photographs" if photographs else "oracle (renderer)"
    varied = settings(row)
    off = [name.replace("_", "-") for name, value in varied.items() if value is False]
    others = [f"{name}={v}" for name, v in varied.items() if not isinstance(v, bool)]
    words = [row.get("method", "run")]
    if "config" in row["varied"]:
        words.append(f"({Path(shlex.split(row['parameters']['config'])[0]).stem})")
    words.append(f"without {' and '.join(off)}" if off else "full")
    return ", ".join([" ".join(words), *others])


def settings(row: Row) -> dict[str, Any]:
    """Name and value of what tells a run from others of its sweep, without the seed.

    Of the flags of an experiment, those of the model and the shots; not how long it
    trains and how much it is measured on.
    """
    found: dict[str, Any] = {}
    for key in row["varied"]:
        value = row["parameters"][key]
        if key == "config":
            for flag, text in pairs(shlex.split(value)[1:]):
                if flag.startswith("--model.") or flag in TOLD:
                    found[last_part(flag)] = {"true": True, "false": False}.get(text.lower(), text)
        elif key != "seed_everything":
            found[last_part(key)] = value
    order = {"class_wise": -2, "layer_wise": -1}
    return dict(sorted(found.items(), key=lambda pair: order.get(pair[0], 0)))


def written(values: Sequence[float]) -> str:
    """A mean, with the standard deviation over seeds if there are several."""
    if not values:
        return ""
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.{3 if spread else 4}f}{spread}"


def arrow(name: str) -> str:
    """Whether a score is better when it is lower or higher."""
    return "↓" if name.startswith(LOWER_IS_BETTER) else "↑"
