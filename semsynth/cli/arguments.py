"""Kinds of values of the command line; nothing here imports torch."""

import argparse
from collections.abc import Callable


def at_least(low: int) -> Callable[[str], int]:
    """A type for ``argparse``: integers from ``low`` upwards."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {low}, got {text}"
            )
        return value

    return whole_number
