"""Write a report again: ``python -m benchmarks.report [--output DIR]``."""

import argparse
from pathlib import Path

from benchmarks.report import write

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmark"))
    output: Path = parser.parse_args().output
    write(output, title=output.name)
