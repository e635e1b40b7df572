"""Command lines in this process."""

import sys

from semsynth.cli import main


def status_of(words: list[str]) -> int:
    """The exit status of a command line; its message goes to the standard error."""
    try:
        main(words)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return end.code or 0
    return 0
