"""W&B sweep files, read without W&B: the points of a sweep and the command of each."""

import hashlib
import json
import shlex
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from semsynth.errors import UserError, check_numbers
from semsynth.files import read_yaml


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
    file, *flags = shlex.split(str(value))
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


def read_sweep(file: Path) -> list[Point]:
    """The points of a grid in the order of the file; a ``SweepError`` if it cannot be run here.

    A value of the parameter ``config`` may carry flags, ``FILE --KEY VALUE``: a list of points that
    share nothing else.
    """
    sweep = load(file)
    if sweep["method"] != "grid":
        raise SweepError(
            f"{file}: method is {sweep['method']!r}; only grid can be run here. `wandb sweep` and "
            "`wandb agent` run the others."
        )
    if not isinstance(sweep["parameters"], dict) or not isinstance(sweep["command"], list):
        raise SweepError(f"{file}: parameters must be a mapping, and command a list of words.")
    values = {str(key): _values(file, key, spec) for key, spec in sweep["parameters"].items()}
    varied = tuple(key for key, choices in values.items() if len(choices) > 1)
    points = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
    return [Point(point, varied, render_command(sweep["command"], point)) for point in points]


def load(file: Path) -> dict[str, Any]:
    """A sweep file, with the keys that it must have."""
    try:
        sweep = read_yaml(file)
    except UserError as error:
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


def _values(file: Path, key: str, spec: Any) -> list[Any]:
    given = spec if isinstance(spec, dict) else {}
    values = given.get("values", [given["value"]] if "value" in given else None)
    if not isinstance(values, list) or not values:
        raise SweepError(
            f"{file}: parameter {key} must have `value` or a list `values`, got {spec!r}."
        )
    try:
        for value in values:
            check_numbers(value, key)
        unnamed = key == "config" and not all(shlex.split(str(value)) for value in values)
    except ValueError as error:  # of shlex: a quote that is not closed
        raise SweepError(f"{file}: parameter {key}: {error}") from error
    if unnamed:
        raise SweepError(f"{file}: parameter config names no file.")
    if None in values:
        raise SweepError(
            f'{file}: parameter {key} has the value null, which W&B writes as None; write "null".'
        )
    return values
