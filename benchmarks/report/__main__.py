"""Write a report again: ``python -m benchmarks.report [--output DIR]``."""

from pathlib import Path

from jsonargparse import auto_cli

from benchmarks.report import write


def main(output: Path = Path("outputs/benchmark")) -> None:
    """Write ``report.html`` and ``report.md`` again from the files in a directory."""
    write(output, title=output.name)


auto_cli(main)
