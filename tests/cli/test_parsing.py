import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from semsynth.cli.parsing import arguments_of, parser_of


def example(
    file: Path,
    names: Sequence[str] = (),
    *,
    kind: Annotated[Literal["a", "b"], "--as"],
    sizes: Sequence[int] = (),
    drag: Sequence[str] = (),
    split: tuple[float, float] = (0.5, 0.5),
    seed: int = 0,
    dry_run: Annotated[bool, "--dry-run"] = False,
    rest: Annotated[Sequence[str], argparse.REMAINDER] = (),
    data: Mapping[str, str] | None = None,
) -> None:
    """Do something.

    More of it.

      example FILE

    Args:
        file: The file.
        names: Names.
        kind: What it is.
        sizes: Sizes.
        drag: Marks, in two
            lines.
        split: Shares.
        seed: Seed.
        dry_run: Do nothing.
        rest: All that follows.
        data: Arguments of the data.
    """


def parse(words: str) -> dict[str, Any]:
    return arguments_of(example, words.split(), "example")


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("n m", {"names": ["n", "m"]}),
        ("--sizes 16 32", {"sizes": [16, 32]}),
        ("--drag 1,2 --drag -3,.5", {"drag": ["1,2", "-3,.5"]}),
        ("--drag=-3,2", {"drag": ["-3,2"]}),
        ("--split 1 0", {"split": (1, 0)}),
        ("--sizes -3", {"sizes": [-3]}),
        ("--seed 3", {"seed": 3}),
        ("--dry-run", {"dry_run": True}),
        ("--data.a 1 --data.b=2", {"data": {"a": "1", "b": "2"}}),
        ("--data.range 0 4095 --seed 3", {"data": {"range": "[0,4095]"}, "seed": 3}),
        ("--data.range [-1, 1.5]", {"data": {"range": "[-1,1.5]"}}),
        ("--data.range=[0,1] --sizes 1 2", {"data": {"range": "[0,1]"}, "sizes": [1, 2]}),
        ("--rest x --seed 1", {"rest": ["x", "--seed", "1"]}),
    ],
)
def test_words_become_arguments(words: str, given: dict[str, Any]) -> None:
    found = parse(f"f {words} --as a" if words[:1] == "n" else f"f --as a {words}")
    expected = {"file": Path("f"), "kind": "a", "names": [], "data": {}} | given
    assert found == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("f --as c", "invalid choice: 'c' (choose from 'a', 'b')"),
        ("f", "required: --as"),
        ("--as a", "required: FILE"),
        ("f --as a --sede 1", "There is no flag '--sede'; did you mean '--seed'?"),
        ("f --as a --split 1", "expected 2 arguments"),
        ("f --as a --sizes x", "invalid int value: 'x'"),
        ("f --as a --dry-ru", "There is no flag '--dry-ru'; did you mean '--dry-run'?"),
    ],
)
def test_wrong_words_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == 2
    usage, said = capsys.readouterr().err.splitlines()
    assert usage == "usage: example FILE --as KIND [OPTIONS]"
    assert message in said


def test_docstring_is_the_help() -> None:
    text = parser_of(example, "example").format_help()
    assert "Do something.\n\nMore of it.\n\n  example FILE\n\n" in text
    assert "Marks, in two lines\n" in text
    assert "Shares (default: 0.5 0.5)" in text
    assert "Seed (default: 0)" in text
