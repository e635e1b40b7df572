"""User errors, which the command line reports in one message instead of a stack trace."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LARGEST_SEED = 2**32 - 1  # NumPy's
LARGEST = 2**53  # from here on, floats skip integers


class UserError(ValueError):
    """An error that the user can fix; the message says what is wrong, where, and what to do."""


class UsageError(UserError):
    """Flags are out of range or inconsistent; the exit status is 2, not 1."""


def check_numbers(values: Any, key: str = "") -> None:
    """Refuse numbers, anywhere in lists and mappings, that are no usable ones.

    They must be finite and at most 2^53 in size, and seeds from 0 to 2^32 - 1.
    """
    if isinstance(values, Mapping):
        for name, value in values.items():
            check_numbers(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list | tuple):
        for i, value in enumerate(values):
            check_numbers(value, f"{key}[{i}]")
    elif isinstance(values, float) and not math.isfinite(values):
        raise UserError(f"{key} is {values}; give a finite number.")
    elif isinstance(values, int | float) and abs(values) > LARGEST:
        raise UserError(f"{key} is {shortened(values)}; give at most {LARGEST:,}.")
    elif type(values) is int and is_seed(key) and not 0 <= values <= LARGEST_SEED:
        raise UserError(f"{key} is {values}; give a seed from 0 to {LARGEST_SEED:,}.")


def is_seed(key: str) -> bool:
    """Whether a key, or a flag, is that of a seed."""
    name = key.rpartition(".")[2].lstrip("-")
    return name in ("seed", "seed_everything") or name.endswith("_seed")


def shortened(value: object, most: int = 60) -> str:
    """A value as text, cut off if it is long."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."


def require_positive(**values: float | None) -> None:
    """Refuse values that are not positive and finite; None is skipped."""
    for name, value in values.items():
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{name} must be a positive number, got {value}.")


def require_not_negative(**values: float) -> None:
    """Refuse values that are negative, infinite or NaN."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{name} must be 0 or a positive, finite number, got {value}.")


def require_processes(**values: int | None) -> None:
    """Refuse more processes or threads than this machine could run; None is skipped."""
    most = max(64, 4 * (os.cpu_count() or 1))
    for name, value in values.items():
        if value is not None and value > most:
            raise UserError(f"{name} must be at most {most} on this machine, got {value}.")


def require_writable(directory: Path, flag: str) -> None:
    """Refuse an output directory, given by ``flag``, that can be neither written nor created."""
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    reason = "read-only for you" if there.is_dir() else "a file, not a directory"
    raise UserError(f"{directory} cannot be written to: {there} is {reason}. Change {flag}.")
