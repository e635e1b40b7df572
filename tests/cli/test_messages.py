from pathlib import Path
from typing import Any, Literal

import pytest

from semsynth.cli import messages
from semsynth.cli.messages import Parser, class_names, in_words, require_at_least, unwrapped
from semsynth.errors import UsageError, UserError


class Base:
    pass


class Inner(Base):
    def __init__(self, size: int, kind: Literal["a", "b"] = "a", **kwargs: Any) -> None:
        if size < 0:
            raise UserError(f"size is {size}")
        super().__init__(**kwargs)


class Outer(Base):
    def __init__(self, inner: Base | None = None, width: int | tuple[int, int] = 1) -> None:
        self.inner = inner


INNER = f"{__name__}.Inner"


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="test", allow_abbrev=False)
    parser.add_subclass_arguments(Base, "thing")
    parser.add_argument("--number", type=int | None, default=None)
    parser.add_argument("--name", type=str, required=True)
    return parser


def said(parser: Parser, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence that a wrong command line ends with."""
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words)
    assert end.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nam", "x"], "There is no flag '--nam'; did you mean '--name'?"),
        (["--name"], "argument --name: expected one argument"),
        ([], "required: --name."),
        (["--name=x", "--number=many"], "--number: expected int or null, got many."),
        (
            ["--name=x", "--thing=Inner", "--thing.siz=1"],
            "Inner has no argument 'siz' (--thing.siz)",
        ),
        (
            ["--name=x", "--thing=Inner", "--thing.size=x"],
            "argument 'size' (--thing.size): expected int",
        ),
        (["--name=x", "--thing=Inner", "--thing.kind=c"], "expected 'a', 'b', got c."),
        (["--name=x", "--thing=Inner"], "Inner needs size."),
        (["--name=x", "--thing=Outer", "--thing.width=w"], "expected int or tuple[int, int], got"),
    ],
)
def test_mistake_is_one_sentence(
    words: list[str], sentence: str, parser: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        word.replace("=Inner", f"={INNER}").replace("Outer", f"{__name__}.Outer") for word in words
    ]
    text = said(parser, words, capsys)
    assert text.startswith("test: ")
    assert sentence in text


def test_mistake_inside_a_class_inside_a_class_is_that_of_the_innermost(
    parser: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = f'{{"class_path": "{INNER}", "init_args": {{"sise": 1}}}}'
    words = ["--name=x", f"--thing={__name__}.Outer", f"--thing.inner={inner}"]
    assert "Inner has no argument 'sise'; did you mean 'size'?" in said(parser, words, capsys)


def test_file_of_a_wrong_key_is_named(
    parser: Parser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: x\nthing:\n  class_path: {INNER}\n  init_args:\n    sise: 3\n")
    parser.add_argument("--config", action="config")
    parser.files = (str(file), "gone.yaml")
    text = said(parser, [f"--config={file}"], capsys)
    assert f"Inner has no argument 'sise' (in {file}); did you mean 'size'?" in text


def test_flag_is_named_and_not_a_file_with_a_like_key(
    parser: Parser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: x\nthing:\n  class_path: {INNER}\nother:\n  width: 3\n")
    parser.add_argument("--config", action="config")
    parser.add_argument("--other.width", type=int)
    parser.files = (str(file),)
    text = said(parser, [f"--config={file}", "--thing.width=4"], capsys)
    assert "Inner has no argument 'width' (--thing.width)." in text


class Numbers(Base):
    def __init__(
        self,
        size: int | tuple[int, int] = 1,
        most: int | None = 3,
        share: int | float = 1,
        time: str | dict[str, int] | None = "1",
        shots: int | str | list[int] | None = 2,
    ) -> None:
        self.values = [size, most, share, time, shots]


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("size: 16.0", [16, 3, 1, "1", 2]),
        ("size: [16.0, 32.0]", [(16, 32), 3, 1, "1", 2]),
        ("most: None", [1, None, 1, "1", 2]),
        ("time: None", [1, 3, 1, None, 2]),
        ("shots: None", [1, 3, 1, "1", None]),
        ("share: 2.0", [1, 3, 2.0, "1", 2]),
        ("shots: [3, 5]", [1, 3, 1, "1", [3, 5]]),
    ],
)
def test_none_is_null_and_whole_floats_are_integers(
    given: str, values: list[Any], in_file: bool, tmp_path: Path
) -> None:
    parser = Parser(prog="test", exit_on_error=False, parser_mode="omegaconf")
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(Base, "thing")
    key, _, value = given.partition(": ")
    words = [f"--thing={__name__}.Numbers", f"--thing.{key}={value}"]
    if in_file:
        file = tmp_path / "mine.yaml"
        arguments = f"  class_path: {__name__}.Numbers\n  init_args:\n    {given}\n"
        file.write_text(f"thing:\n{arguments}")
        words = [f"--config={file}"]
    found = parser.instantiate(parser.parse_args(words)).thing.values
    assert found == values
    assert [type(x) for x in found] == [type(x) for x in values]


def test_text_that_is_none_stays_text(parser: Parser) -> None:
    assert parser.parse_args(["--name=None"]).name == "None"
    assert messages.meant_value(16.5, int) == 16.5
    assert messages.meant_word("v1.0", str | None) == "v1.0"


def test_error_without_the_types_that_were_tried_is_one_line() -> None:
    text = "Problem with x:\n  Does not validate against any of the Union subtypes\nGiven value: 7"
    assert messages.plain(text) == "Problem with x: got 7"


def test_error_of_a_constructor_comes_to_light(parser: Parser) -> None:
    parsed = parser.parse_args(["--name=x", f"--thing={INNER}", "--thing.size=-1"])
    with pytest.raises(UserError, match=r"^size is -1$"), unwrapped():
        parser.instantiate(parsed)


def test_types_are_said_in_words() -> None:
    assert in_words(int | None) == "int or null"
    assert in_words(Literal["a", 1]) == "'a', 1"
    assert in_words(list[int] | Path) == "list[int] or Path"


@pytest.mark.parametrize(
    ("value", "names"),
    [("A", ["A"]), ('[{"class_path": "A"}, B]', ["A", "B"]), ({"x": 1}, []), ("a: [", ["a: ["])],
)
def test_classes_in_a_value_are_found(value: Any, names: list[str]) -> None:
    assert class_names(value) == names


def test_nothing_close_gets_no_suggestion() -> None:
    assert messages.meant("zzz", ["channels"]) == "."
    assert messages.place("zzz", []) == ""


def test_flags_below_their_least_value_are_refused() -> None:
    require_at_least(2, steps=2, starts=None)
    with pytest.raises(UsageError, match="--steps must be at least 2, got 1"):
        require_at_least(2, steps=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"- 1\n", "not a mapping"), (b"\xff", "not valid YAML"), (b"a: [", "not valid YAML")],
)
def test_file_that_is_no_configuration_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(UserError, match=rf"mine\.yaml.* ?{message}"):
        messages.check_files([str(tmp_path / "mine.yaml")])
