"""W&B sweep files, read without W&B: the points of a grid and the command of each."""

import hashlib
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class SweepError(ValueError):
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
        """Readable and unique: the values that vary, and a hash of the whole command."""
        digest = hashlib.sha256(json.dumps(self.command).encode()).hexdigest()[:8]
        words = [f"{key.split('.')[-1]}={_word(self.parameters[key])}" for key in self.varied]
        return "-".join([*words, digest])


def _word(value: Any) -> str:
    """A value as it may stand in a file name."""
    return Path(value).stem if isinstance(value, str) else str(value).replace(" ", "")


def read_sweep(file: Path) -> list[Point]:
    """The points of a grid sweep, in the order of the file.

    Args:
        file: A W&B sweep file with ``method: grid``, ``command`` and ``parameters``, each a
            ``value`` or ``values``.

    Raises:
        SweepError: The file is missing or has something that a grid does not have.
    """
    try:
        sweep = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SweepError(f"{file} cannot be read as a sweep: {error}") from error
    if not isinstance(sweep, dict) or not {"command", "parameters", "method"} <= sweep.keys():
        raise SweepError(f"{file} must have the keys method, command and parameters.")
    if sweep["method"] != "grid":
        raise SweepError(f"{file}: method is {sweep['method']!r}; only grid can be run here.")
    values = {key: _values(file, key, spec) for key, spec in sweep["parameters"].items()}
    points = [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]
    varied = tuple(key for key, choices in values.items() if len(choices) > 1)
    return [Point(p, varied, render_command(sweep["command"], p)) for p in points]


def _values(file: Path, key: str, spec: Any) -> list[Any]:
    if isinstance(spec, dict) and isinstance(spec.get("values"), list):
        return spec["values"]
    if isinstance(spec, dict) and "value" in spec:
        return [spec["value"]]
    raise SweepError(f"{file}: parameter {key} must have `value` or a list `values`, got {spec!r}.")


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
