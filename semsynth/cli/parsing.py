"""The command line of a typed function: its parameters are the flags, its docstring is the help.

Keyword-only parameters are flags, the others are positional. A ``bool`` is a switch, a sequence
takes several values and can be repeated, a ``Literal`` is a choice, a mapping takes the flags
``--data.KEY VALUE``. ``Annotated[TYPE, "--flag"]`` gives a flag another name.
"""

import argparse
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from jsonargparse import DefaultHelpFormatter

from semsynth.cli.messages import Parser, spelling
from semsynth.errors import UsageError, UserError, check_numbers

DATA = "--data."
NUMBER = re.compile(r"[\[(]?(-?\.?\d[\d.]*(?:[eE][+-]?\d+)?),?[\])]?")


class Formatter(DefaultHelpFormatter):
    """Help without types; paragraphs with an indented line are not wrapped."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help or ""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = [
            part
            if "\n  " in f"\n{part}"
            else super(Formatter, self)._fill_text(part, width, indent)
            for part in text.split("\n\n")
        ]
        return "\n\n".join(filled)


def arguments_of(function: Callable[..., Any], args: Sequence[str], prog: str) -> dict[str, Any]:
    """The keyword arguments of a function from a command line."""
    given: dict[str, Any] = {}
    hints = {name: without_none(hint) for name, hint in get_type_hints(function).items()}
    for name, hint in hints.items():
        if get_origin(hint) is Mapping:
            given[name], args = split_data_flags(args)
    for name, value in vars(parser_of(function, prog).parse_args(list(args))).items():
        if value is not None:
            given[name] = tuple(value) if get_origin(hints[name]) is tuple else value
    try:
        check_numbers({f"--{name}": value for name, value in given.items()})
    except UserError as error:
        raise UsageError(str(error)) from error
    return given


def parser_of(function: Callable[..., Any], prog: str) -> Parser:
    """The parser of a function."""
    text, _, section = (inspect.getdoc(function) or "").partition("\n\nArgs:\n")
    helps = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE))
    parser = Parser(prog=prog, description=text, formatter_class=Formatter, allow_abbrev=False)
    parser._negative_number_matcher = re.compile(r"-[\d.]")  # -4,0 is a value, not a flag
    hints = get_type_hints(function, include_extras=True)
    usage = [prog]
    for name, parameter in inspect.signature(function).parameters.items():
        if get_origin(without_none(hints[name])) is not Mapping:
            action = add_parameter(parser, parameter, hints[name], helps[name])
            if parameter.default is parameter.empty:
                usage += spelling(action)
    parser.usage = " ".join([*usage, "[OPTIONS]"])
    return parser


def add_parameter(
    parser: Parser, parameter: inspect.Parameter, hint: Any, text: str
) -> argparse.Action:
    """Add the argument of a parameter; None stands for the function's own default."""
    name, default = parameter.name, parameter.default
    hint, *extra = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    flags = [word for word in extra if word.startswith("--")] or [f"--{name}"]
    positional = parameter.kind is not parameter.KEYWORD_ONLY
    options: dict[str, Any] = {"help": " ".join(text.split()).removesuffix(".")}
    if not positional:
        options |= {"default": None, "dest": name, "required": default is parameter.empty}
    if not (default in (parameter.empty, None, ()) or default is False):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        options["help"] += f" (default: {shown})"
    hint = without_none(hint)
    if hint is bool:
        return parser.add_argument(*flags, action="store_true", **options)
    options["metavar"] = "PATH" if hint is Path and not positional else name.rstrip("_").upper()
    if get_origin(hint) is tuple:
        options |= {"nargs": len(get_args(hint)), "metavar": None}
        hint = get_args(hint)[0]
    elif get_origin(hint) is Sequence:
        options |= {"nargs": "*" if positional else "+", "action": "extend"}
        hint = get_args(hint)[0]
    if argparse.REMAINDER in extra:
        options["nargs"] = argparse.REMAINDER
    if get_origin(hint) is Literal:
        options |= {"choices": get_args(hint), "metavar": None}
    else:
        options["type"] = hint
    return parser.add_argument(*([name] if positional else flags), **options)


def without_none(hint: Any) -> Any:
    """``X`` of ``X | None``."""
    return get_args(hint)[0] if NoneType in get_args(hint) else hint


def split_data_flags(args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Arguments of a data set, ``--data.KEY VALUE`` or ``--data.KEY=VALUE``, and all others."""
    found, rest, words = {}, [], iter(joined_numbers(args))
    for word in words:
        if word.startswith(DATA):
            key, equals, value = word.removeprefix(DATA).partition("=")
            found[key] = value if equals else next(words, "")
        else:
            rest.append(word)
    return found, rest


def joined_numbers(args: Sequence[str]) -> list[str]:
    """Make one word, a list, of the numbers after a flag with a dot: ``--data.range 0 4095``.

    A shell also splits ``[0, 4095]`` without quotes.
    """
    words: list[str] = []
    numbers: list[str] = []
    for arg in [*args, "--"]:
        flag = words[-1] if words else ""
        number = NUMBER.fullmatch(arg)
        if number and (numbers or (flag.startswith("--") and "." in flag and "=" not in flag)):
            numbers.append(arg)
            continue
        plain = [NUMBER.sub(r"\1", word) for word in numbers]
        words += [f"[{','.join(plain)}]"] if len(numbers) > 1 else numbers
        numbers = []
        words.append(arg)
    return words[:-1]
