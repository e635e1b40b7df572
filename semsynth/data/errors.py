"""Problems with data on disk, and their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semsynth.errors import UserError


class DataError(UserError):
    """The data on disk are invalid; the message names file, value and remedy."""


class MissingSplitError(DataError):
    """None of the directories of a split exists."""

    def __init__(self, *directories: Path) -> None:
        listed = " nor ".join(map(str, directories))
        super().__init__(f"There is no directory {listed}; check the root of the data set.")


@dataclass(frozen=True)
class Problem:
    """A problem with a file: ``message`` has file, value and remedy in one line."""

    kind: str
    file: Path
    message: str


def describe_problems(problems: Sequence[Problem], total: int, what: str = "are bad") -> str:
    """The first ten problems of a data set, and their number."""
    samples = len({problem.file for problem in problems})
    rest = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
    listed = "\n  ".join(problem.message for problem in problems[:10])
    return f"{samples} of {total} samples {what}:\n  {listed}{rest}"


class PairingError(DataError):
    """Files lack their partners; ``pairs`` are the complete samples."""

    def __init__(self, problems: Sequence[Problem], pairs: Sequence[Any]) -> None:
        super().__init__(describe_problems(problems, len(problems) + len(pairs)))
        self.problems = problems
        self.pairs = pairs
