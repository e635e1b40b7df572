import argparse

import pytest

from semsynth.cli.arguments import at_least


def test_numbers_from_the_lowest_are_taken() -> None:
    assert at_least(2)("2") == 2


@pytest.mark.parametrize("text", ["1", "-5", "2.5", "many", ""])
def test_others_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"at least 2, got {text}"):
        at_least(2)(text)
