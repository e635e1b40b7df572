"""Mistakes of the user: what the command line answers with one message, not with a stack trace."""

import math
import os
from pathlib import Path


class UserError(ValueError):
    """Something that the user can mend; the message says what is wrong, where, and what to do."""


class UsageError(UserError):
    """Flags that are out of range or do not go together; the exit status is 2, not 1."""


def require_positive(**values: float | None) -> None:
    """Refuse sizes and rates that are not positive, finite numbers; None is no value.

    Args:
        values: Numbers by the names of their arguments.

    Raises:
        UserError: One is zero, negative or not finite.
    """
    for name, value in values.items():
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{name} must be a positive number, got {value}.")


def require_not_negative(**values: float) -> None:
    """Refuse rates and weights that are negative or not finite.

    Args:
        values: Numbers by the names of their arguments.

    Raises:
        UserError: One is.
    """
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{name} must be 0 or a positive, finite number, got {value}.")


def require_writable(directory: Path, flag: str) -> None:
    """See that a directory can be written to, or made, before any work is done.

    Args:
        directory: Where output is to go.
        flag: The option that names it.

    Raises:
        UserError: A file is in its place, or there is no permission.
    """
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    reason = "read-only for you" if there.is_dir() else "a file, not a directory"
    raise UserError(f"{directory} cannot be written to: {there} is {reason}. Change {flag}.")
