"""W&B sweep files, read without W&B: the points of a sweep and the command of each."""

import hashlib
import itertools
import json
import math
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from semsynth.errors import UserError

Drawn = str | bool | int | float
Distribution = Callable[[dict[str, Any], np.random.Generator], Drawn]


class SweepError(UserError):
    """A sweep file that cannot be run; the message names file, key and remedy."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep: values by dotted key, the keys that vary, and the command line."""

    parameters: dict[str, Any]
    varied: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """The values that vary, readable, and a hash of everything that the run is given."""
        words = [word for key in self.varied for word in _words(key, self.parameters[key])]
        identity = json.dumps([self.command[1:], self.parameters])  # not where Python is
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return f"{'-'.join(words)[:110]}-{digest}" if words else digest


def _words(key: str, value: Any) -> list[str]:
    """A value as it may stand in a file name: of ``config``, the file and its flags."""
    if key != "config":
        return [f"{last_part(key)}={_plain(value)}"]
    file, *flags = shlex.split(value)
    path = Path(file)
    given = [f"{last_part(flag)}={_plain(text)}" for flag, text in pairs(flags)]
    return ["_".join([path.parent.name, path.stem]), *given]


def pairs(flags: list[str]) -> list[tuple[str, str]]:
    """Flag and value of words such as ``--model.lr 1 --model.betas=2``."""
    words = iter(" ".join(flags).replace("=", " ").split())
    return [(flag, next(words, "")) for flag in words]


def last_part(key: str) -> str:
    """``lr`` of ``model.lr`` or ``--model.lr``."""
    return key.split(".")[-1].lstrip("-")


def _plain(value: Any) -> str:
    text = Path(value).stem if isinstance(value, str) and "/" in value else str(value)
    return "".join(c if c.isalnum() or c in "._+" else "_" for c in text.replace(" ", ""))


def read_sweep(file: Path, seed: int = 0) -> list[Point]:
    """The points of a sweep: a grid in the order of the file, or drawn at random.

    Args:
        file: A W&B sweep file with ``command``, ``parameters`` and ``method``: ``grid``, or
            ``random`` with ``run_cap``, the number of points. A value of the parameter ``config``
            may carry flags, ``FILE --KEY VALUE``: a list of points that share nothing else.
        seed: Seed of random points.

    Raises:
        SweepError: The file is missing or has something that cannot be run here.
    """
    sweep = load(file)
    parameters = sweep["parameters"]
    try:
        if sweep["method"] == "grid":
            values = {key: _values(key, spec) for key, spec in parameters.items()}
            points = [
                dict(zip(values, combination, strict=True))
                for combination in itertools.product(*values.values())
            ]
            varied = tuple(key for key, choices in values.items() if len(choices) > 1)
        elif sweep["method"] == "random":
            points = _random_points(sweep, seed)
            varied = tuple(key for key, spec in parameters.items() if "value" not in spec)
        else:
            raise ValueError(
                f"method is {sweep['method']!r}; only grid and random can be run here. "
                "`wandb sweep` and `wandb agent` run the others."
            )
        for key in parameters:
            if any(point[key] is None for point in points):
                raise ValueError(
                    f'parameter {key} has the value null, which W&B writes as None; write "null".'
                )
    except ValueError as error:
        raise SweepError(f"{file}: {error}") from error
    return [Point(point, varied, render_command(sweep["command"], point)) for point in points]


def load(file: Path) -> dict[str, Any]:
    """A sweep file, with the keys that it must have."""
    try:
        sweep = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SweepError(f"{file} cannot be read as a sweep: {error}") from error
    if not isinstance(sweep, dict) or not {"command", "parameters", "method"} <= sweep.keys():
        raise SweepError(f"{file} must have the keys method, command and parameters.")
    return sweep


def render_command(template: list[str], parameters: dict[str, Any]) -> tuple[str, ...]:
    """Fill in ``${env}``, ``${interpreter}`` and ``${args}`` as ``wandb agent`` does."""
    words: dict[str, list[str]] = {
        "${env}": [],
        "${interpreter}": [sys.executable],
        "${args}": [f"--{key}={value}" for key, value in parameters.items()],
        "semsynth": [sys.executable, "-m", "semsynth"],
    }
    return tuple(word for part in template for word in words.get(part, [part]))


def _values(key: str, spec: Any) -> list[Any]:
    if isinstance(spec, dict) and isinstance(spec.get("values"), list):
        return spec["values"]
    if isinstance(spec, dict) and "value" in spec:
        return [spec["value"]]
    raise ValueError(f"parameter {key} must have `value` or a list `values`, got {spec!r}.")


def _random_points(sweep: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    count = sweep.get("run_cap")
    if not isinstance(count, int) or count < 1:
        raise ValueError("a random sweep needs run_cap, its number of runs.")
    return [  # a value depends on the seed, the point and its key, not on other parameters
        {k: draw_value(k, s, (seed, i, *k.encode())) for k, s in sweep["parameters"].items()}
        for i in range(count)
    ]


def draw_value(key: str, spec: Any, seed: tuple[int, ...]) -> Drawn:
    """Draw a parameter from one of W&B's distributions."""
    if not isinstance(spec, dict):
        raise ValueError(f"parameter {key} must be a mapping, got {spec!r}.")
    name = spec.get("distribution") or _implied(spec)
    if name not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"parameter {key} has the distribution {name!r}; known are {known}.")
    try:
        return DISTRIBUTIONS[name](spec, np.random.default_rng(seed))
    except KeyError as missing:
        raise ValueError(f"parameter {key} of distribution {name} lacks {missing}.") from missing


def _implied(spec: dict[str, Any]) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in spec or "values" in spec:
        return "constant" if "value" in spec else "categorical"
    whole = all(isinstance(spec.get(end), int) for end in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _categorical(spec: dict[str, Any], rng: np.random.Generator) -> Drawn:
    return spec["values"][int(rng.choice(len(spec["values"]), p=spec.get("probabilities")))]


def _log_uniform_values(spec: dict[str, Any], rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(spec["min"]), math.log(spec["max"])))


def _quantised(name: str) -> Distribution:
    def quantise(spec: dict[str, Any], rng: np.random.Generator) -> Drawn:
        step = spec.get("q", 1)
        value = round(float(DISTRIBUTIONS[name](spec, rng)) / step) * step
        return value if isinstance(step, int) else float(f"{value:.12g}")

    return quantise


DISTRIBUTIONS: dict[str, Distribution] = {
    "constant": lambda spec, _: spec["value"],
    "categorical": _categorical,
    "int_uniform": lambda spec, rng: int(rng.integers(spec["min"], spec["max"], endpoint=True)),
    "uniform": lambda spec, rng: float(rng.uniform(spec["min"], spec["max"])),
    "log_uniform": lambda spec, rng: math.exp(rng.uniform(spec["min"], spec["max"])),
    "log_uniform_values": _log_uniform_values,
    "normal": lambda spec, rng: float(rng.normal(spec.get("mu", 0), spec.get("sigma", 1))),
    "log_normal": lambda spec, rng: math.exp(rng.normal(spec.get("mu", 0), spec.get("sigma", 1))),
    **{f"q_{name}": _quantised(name) for name in ("uniform", "log_uniform_values", "normal")},
}
