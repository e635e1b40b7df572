"""The runs of a report: what they are called, and means over seeds."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from benchmarks.results import Row
from benchmarks.sweep import last_part, pairs

CLAIMS = Path(__file__).with_name("claims.yaml")
LOWER_IS_BETTER = (
    *("FID", "KID", "fd_", "kd_", "top1_", "mOCD_", "reconstruction_", "seconds_"),
    *("drag_error", "drag_angle", "points_lost", "anchor_drift", "zoom_error", "change_outside"),
)
SEEDS = ("seed_everything", "data.shots_seed")  # of the training, and of the choice of photos
TOLD = ("data.shots", "data.labels", "shots", "train_on")  # as the settings of the model
ORACLE = "oracle (renderer)"
Settings = dict[str, str]


@dataclass(frozen=True)
class Entry:
    """A line of a table: runs that differ in nothing but the seed."""

    label: str
    rows: tuple[Row, ...]
    differs: str = ""

    @property
    def name(self) -> str:
        """The label, and what tells the line from others of the same label."""
        return f"{self.label} ({self.differs})" if self.differs else self.label

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

    def by_seed(self, name: str) -> dict[tuple[str | None, ...], float]:
        """A score of all runs that have it, by their seeds, ``(None, None)`` if it has none."""
        found = {seeds(row): row.get("scores", {}).get(name) for row in self.rows}
        return {seed: value for seed, value in found.items() if value is not None}

    def cost(self, name: str) -> str:
        """What the runs cost: the mean of a figure, or the words that occur."""
        values = [row["cost"][name] for row in self.rows if name in row.get("cost", {})]
        if not values or isinstance(values[0], str):
            return ", ".join(dict.fromkeys(values))
        return f"{mean(values):.4g}"


def entries(rows: Sequence[Row]) -> list[Entry]:
    """The lines of a table, an oracle at the end."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: bool(row.get("oracle"))):
        given = {k: v for k, v in settings(row).items() if k not in SEEDS}
        identity = "" if row.get("oracle") else json.dumps([experiment(row), given])
        group = groups.setdefault((label(row), identity), [])
        if not (row.get("oracle") and group):
            group.append(row)
    return [
        Entry(
            name,
            tuple(group),
            differences(group[0], [rows[0] for (n, _), rows in groups.items() if n == name]),
        )
        for (name, _), group in groups.items()
    ]


def differences(row: Row, same: Sequence[Row]) -> str:
    """The settings in which a run differs from others of the same label."""
    given = [{"": experiment(other)} | settings(other) for other in same if not other.get("oracle")]
    words = {"": Path(experiment(row)).name} | {last_part(k): v for k, v in settings(row).items()}
    varied = {key for one in given for key in one if len({other.get(key) for other in given}) > 1}
    shown = {last_part(key) for key in varied - set(SEEDS)}
    return ", ".join(f"{k}={v}" if k else v for k, v in words.items() if k in shown)


def label(row: Row) -> str:
    """The name of a run without its seed, from claims.yaml, or what it differs in."""
    if row.get("oracle"):
        return "real photographs" if row["oracle"] == "photographs" else ORACLE
    if not row.get("parameters"):
        return str(row["run"])
    about = experiment(row)
    told = {
        last_part(key): value
        for key, value in settings(row).items()
        if key.startswith("model.") or key in TOLD
    }
    for name, patterns in names().items():
        if any(fits(about, told, pattern) for pattern in patterns):
            return name
    off = [key.replace("_", "-") for key, value in told.items() if value == "false"]
    others = [f"{key}={value}" for key, value in told.items() if value != "false"]
    word = Path(about).name if "config" in row["parameters"] else row.get("method", "run")
    return ", ".join([f"{word} without {' and '.join(off)}" if off else word, *others])


def experiment(row: Row) -> str:
    """``clvae/ade20k``; of a run without a configuration file, method and data."""
    if "config" not in row.get("parameters", {}):
        return f"{row.get('method', '')}/{row.get('data', '')}".lower()
    path = Path(shlex.split(row["parameters"]["config"])[0])
    return f"{path.parent.name}/{path.stem}"


def settings(row: Row) -> Settings:
    """Name and value of all that a run is given beside its configuration file."""
    given = row.get("parameters", {})
    flags = pairs(shlex.split(given.get("config", ""))[1:])
    found: dict[str, Any] = {key.lstrip("-"): parsed(value) for key, value in flags}
    found |= {key: value for key, value in given.items() if key != "config"}
    return {key: json.dumps(value, default=str).strip('"') for key, value in sorted(found.items())}


def parsed(text: str) -> Any:
    """The value of a flag, so that 5.0e-4 is 0.0005 and True is true."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def seeds(row: Row) -> tuple[str | None, ...]:
    """The seeds of a run, by which runs are paired."""
    return tuple(settings(row).get(key) for key in SEEDS)


@cache
def names() -> dict[str, list[str]]:
    """What runs are called, and the experiments and settings that are called so."""
    given = yaml.safe_load(CLAIMS.read_text())["rows"]
    return {name: [p] if isinstance(p, str) else p for name, p in given.items()}


def fits(about: str, told: Settings, pattern: str) -> bool:
    """Whether a run is what ``clvae/* class_wise=false [shots=1]`` says; brackets: or not given."""
    place, *words = pattern.split()
    needed = {word.strip("[]").partition("=")[0]: word for word in words}
    missing = [word for key, word in needed.items() if key not in told and word[0] != "["]
    return (
        fnmatchcase(about, place)
        and not missing
        and all(
            key in needed and fnmatchcase(f"{key}={value}", needed[key].strip("[]"))
            for key, value in told.items()
        )
    )


def written(values: Sequence[float]) -> str:
    """A mean of four digits, with the standard deviation over seeds if there are several."""
    if not values:
        return ""
    spread = f" ± {stdev(values):#.2g}".removesuffix(".") if len(values) > 1 else ""
    return f"{digits(mean(values))}{spread}"


def digits(value: float) -> str:
    """Four significant digits: ``0.1690``, ``12.35``."""
    return f"{value:#.4g}".removesuffix(".")


def arrow(name: str) -> str:
    """Whether a score, ``NAME`` or ``TASK/NAME``, is better when it is lower or higher."""
    return "↓" if name.rsplit("/", 1)[-1].startswith(LOWER_IS_BETTER) else "↑"
