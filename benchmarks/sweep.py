"""W&B sweep files, read without W&B: the points of a sweep and the command of each."""

import hashlib
import itertools
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.draws import Drawn, draw_point
from semsynth.errors import UserError


class SweepError(UserError):
    """A sweep file is not what it must be; the message names file, key and remedy."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        parameters: Value of each dotted key.
        varied: Keys that have several values in the sweep.
        command: Command line that runs it.
    """

    parameters: dict[str, Any]
    varied: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """Readable and unique: the values that vary, and a hash of all that the run is given."""
        words = [word for key in self.varied for word in _words(key, self.parameters[key])]
        identity = json.dumps([self.command[1:], self.parameters])  # not where Python is
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return f"{'-'.join(words)[:110]}-{digest}" if words else digest


def _words(key: str, value: Any) -> list[str]:
    """A value as it may stand in a file name: of ``config``, the file and its flags."""
    if key != "config":
        return [f"{key.split('.')[-1]}={_plain(value)}"]
    file, *flags = shlex.split(value)
    path = Path(file)
    return ["_".join([path.parent.name, path.stem]), *(f"{k}={_plain(v)}" for k, v in pairs(flags))]


def pairs(flags: list[str]) -> list[tuple[str, str]]:
    """Last part of the key, and value, of flags such as ``--model.lr 1 --model.betas=2``."""
    words = iter(" ".join(flags).replace("=", " ").split())
    return [(key.split(".")[-1].lstrip("-"), next(words, "")) for key in words]


def _plain(value: Any) -> str:
    text = Path(value).stem if isinstance(value, str) and "/" in value else str(value)
    return "".join(c if c.isalnum() or c in "._+" else "_" for c in text.replace(" ", ""))


def read_sweep(file: Path, seed: int = 0) -> list[Point]:
    """The points of a sweep: those of a grid in the order of the file, or drawn at random.

    Args:
        file: A W&B sweep file with ``command``, ``parameters`` and ``method``: ``grid``, or
            ``random`` with ``run_cap``, the number of points. A value of the parameter ``config``
            may carry flags, ``FILE --KEY VALUE``: a list of points that share nothing else.
        seed: Seed of random points.

    Raises:
        SweepError: The file is missing or has something that cannot be run here.
    """
    sweep = load(file)
    command, parameters = sweep["command"], sweep["parameters"]
    if sweep["method"] == "grid":
        values = {key: _values(file, key, spec) for key, spec in parameters.items()}
        points = [
            dict(zip(values, combination, strict=True))
            for combination in itertools.product(*values.values())
        ]
        varied = tuple(key for key, choices in values.items() if len(choices) > 1)
    elif sweep["method"] == "random":
        points = _random_points(file, sweep, seed)
        varied = tuple(key for key, spec in parameters.items() if "value" not in spec)
    else:
        raise SweepError(
            f"{file}: method is {sweep['method']!r}; only grid and random can be run here. "
            "`wandb sweep` and `wandb agent` run the others."
        )
    for key in parameters:
        if any(point[key] is None for point in points):
            raise SweepError(
                f"{file}: parameter {key} has the value null, which W&B writes as None; "
                'write "null".'
            )
    return [Point(p, varied, render_command(command, p)) for p in points]


def load(file: Path) -> dict[str, Any]:
    """A sweep file, with the keys that it must have."""
    try:
        sweep = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SweepError(f"{file} cannot be read as a sweep: {error}") from error
    if not isinstance(sweep, dict) or not {"command", "parameters", "method"} <= sweep.keys():
        raise SweepError(f"{file} must have the keys method, command and parameters.")
    return sweep


def _values(file: Path, key: str, spec: Any) -> list[Any]:
    if isinstance(spec, dict) and isinstance(spec.get("values"), list):
        return spec["values"]
    if isinstance(spec, dict) and "value" in spec:
        return [spec["value"]]
    raise SweepError(f"{file}: parameter {key} must have `value` or a list `values`, got {spec!r}.")


def _random_points(file: Path, sweep: dict[str, Any], seed: int) -> list[dict[str, Drawn]]:
    count = sweep.get("run_cap")
    if not isinstance(count, int) or count < 1:
        raise SweepError(f"{file}: a random sweep needs run_cap, the number of its runs.")
    try:
        return [draw_point(sweep["parameters"], (seed, number)) for number in range(count)]
    except ValueError as error:
        raise SweepError(f"{file}: {error}") from error


def render_command(template: list[str], parameters: dict[str, Any]) -> tuple[str, ...]:
    """Fill in a command as ``wandb agent`` does, for this interpreter.

    Args:
        template: Words, among them ``${env}``, ``${interpreter}`` and ``${args}``.
        parameters: Value of each dotted key.
    """
    arguments = [f"--{key}={value}" for key, value in parameters.items()]
    words: dict[str, list[str]] = {
        "${env}": [],
        "${interpreter}": [sys.executable],
        "${args}": arguments,
        "semsynth": [sys.executable, "-m", "semsynth"],
    }
    return tuple(word for part in template for word in words.get(part, [part]))
