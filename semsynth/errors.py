"""User errors, which the command line reports in one message instead of a stack trace."""

import math
import os
from pathlib import Path


class UserError(ValueError):
    """An error that the user can fix; the message says what is wrong, where, and what to do."""


class UsageError(UserError):
    """Flags are out of range or inconsistent; the exit status is 2, not 1."""


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


def require_writable(directory: Path, flag: str) -> None:
    """Refuse an output directory, given by ``flag``, that can be neither written nor created."""
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    reason = "read-only for you" if there.is_dir() else "a file, not a directory"
    raise UserError(f"{directory} cannot be written to: {there} is {reason}. Change {flag}.")
