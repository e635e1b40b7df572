"""Errors of the command line in one sentence: what, where, and a suggestion."""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser

from semsynth.errors import UsageError, UserError, shortened
from semsynth.files import read_yaml

CHOICES = {  # keys that name a class, the module of the classes, and their base
    "model": ("semsynth.methods", "LightningModule"),
    "data": ("semsynth.data", "SynthesisDataModule"),
    "evaluation.metrics": ("semsynth.metrics", "ImageMetric"),
    "trainer.callbacks": ("semsynth.callbacks", "Callback"),
}
SHARED = ("SynthesisDataModule", "PairsOnDisk", "MaskFolder", "ImageMetric")  # named in no YAML
NO_DATA = "There are no data; give --data CLASS or --config FILE."
NOTHING = (
    "There is no method and no data; give an experiment, --config "
    "experiments/clvae/toy_street.yaml, or the checkpoint of a run, --ckpt_path FILE."
)


def require_at_least(low: int, **values: int | None) -> None:
    """Refuse values of flags below ``low``; None is skipped."""
    for name, value in values.items():
        if value is not None and value < low:
            raise UsageError(f"--{name} must be at least {low}, got {value}.")


class Mistake(argparse.ArgumentError):
    """An error, passed from the parser of a class to the parser around it.

    Args:
        start: Start of the sentence.
        end: End of the sentence.
        key: Key to look for in the configuration files, which are named in between.
    """

    def __init__(self, start: str, end: str, key: str = "") -> None:
        super().__init__(None, start + end)
        self.start, self.end, self.key = start, end, key


class Parser(ArgumentParser):
    """jsonargparse's parser with errors in one sentence.

    The arguments of a class have their own parser, which jsonargparse makes when the class is
    named. Its error is among the causes of the error that reaches the parser around it. Two private
    methods note which argument is being checked, which no error has as an attribute.

    Attributes:
        files: Configuration files of the command line, to name those with the error.
        of_class: Name of the class whose arguments these are, if it is such a parser.
        checked: The argument being checked, its value, and whether it is from a file.
        words: The command line, to name the flag with the error.
    """

    files: tuple[str, ...] = ()
    of_class = ""
    checked: tuple[argparse.Action, Any, bool] | None = None
    words: tuple[str, ...] = ()

    def add_class_arguments(self, theclass: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the arguments of a class; without a key, the parser is that of the class."""
        if not args and "nested_key" not in kwargs:
            self.of_class = theclass.__name__
        return super().add_class_arguments(theclass, *args, **kwargs)

    def parse_args(self, args: Any = None, *others: Any, **kwargs: Any) -> Any:
        """Parse the words of a command line; keep them to name the one with an error."""
        self.words = tuple(args or ())
        return super().parse_args(args, *others, **kwargs)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        self.checked = action, " ".join(arg_strings), False
        words = [meant_word(word, type_of(action)) for word in arg_strings]
        return super()._get_values(action, words)

    def _check_value_key(self, action: argparse.Action, value: Any, *args: Any, **kw: Any) -> Any:
        self.checked = action, value, True
        value = meant_value(value, type_of(action))
        if isinstance(value, str):  # an argument of a class from the command line
            value = meant_word(value, type_of(action))
        return super()._check_value_key(action, value, *args, **kw)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Explain the error; exit with status 2, or raise it for the parser around this one."""
        mistake = self.explain(message, ex)
        if not self.exit_on_error:
            raise Mistake(mistake.start, mistake.end, mistake.key) from ex  # ex may hold mistake
        parser = self.parsers()[-1]
        parser.print_usage(sys.stderr)
        where = place(mistake.key, self.files, self.words)
        sentence = f"{mistake.start}{where}{mistake.end}"
        self.exit(2, f"{parser.prog.replace(' [options]', '')}: {sentence}\n")

    def parsers(self) -> list["Parser"]:
        """This parser, and that of the command if it precedes one."""
        choices = [action.choices for action in self._actions if isinstance(action.choices, dict)]
        return [self, *(parser for of_action in choices for parser in of_action.values())]

    def explain(self, message: str, error: Exception | None) -> Mistake:
        """Explain an error of jsonargparse by its type.

        The unknown or missing key is only in the text: between quotes, as a flag, or as a word.
        """
        if told := [cause for cause in causes(error) if isinstance(cause, Mistake)]:
            return told[0]
        actions = [action for parser in self.parsers() for action in parser._actions]
        quoted = message.split("'")
        if isinstance(error, KeyError) and len(quoted) > 2:
            key, known = quoted[-2], [action.dest for action in actions]
            what = f"{self.of_class} has no argument" if self.of_class else "There is no key"
            return Mistake(f"{what} {key!r}", meant(key, known), key)
        if isinstance(error, TypeError) and error.__cause__ is not None:
            return self.wrong_value(error)
        words = message.replace(",", " ").split()
        if isinstance(error, TypeError):
            dests = {word.rpartition(".")[2] for word in words}
            return Mistake("", self.missing([a for a in actions if a.dest in dests]))
        known = [flag for action in actions for flag in action.option_strings]
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        if error is None and (unknown := [flag for flag in flags if flag not in known]):
            return Mistake(f"There is no flag {unknown[0]!r}", meant(unknown[0], known))
        return Mistake(plain(message), "")

    def missing(self, absent: list[argparse.Action]) -> str:
        """Name the arguments that are required and missing."""
        names = {action.dest for action in absent}
        if self.of_class:
            return f"{self.of_class} needs {', '.join(sorted(names))}."
        if names and names <= {"model", "data"}:
            return NOTHING if "model" in names else NO_DATA
        return f"required: {', '.join(spelling(action)[0] for action in absent)}."

    def wrong_value(self, error: Exception) -> Mistake:
        """A value of a wrong type, or a class that does not exist."""
        action, value, in_file = next(p.checked for p in self.parsers()[::-1] if p.checked)
        if self.of_class:
            start = f"{self.of_class}: argument {action.dest!r}"
        else:
            start = action.dest if in_file else spelling(action)[0]
        key = action.dest if in_file else ""
        if action.dest in CHOICES and not self.of_class:
            known = classes_of(*CHOICES[action.dest])
            for name in class_names(value):
                if "." not in name and name not in known:
                    end = f": there is no class {name!r}{meant(name, known)}"
                    return Mistake(start, f"{end} There are {', '.join(known)}.", key)
            return Mistake(start, f": {plain(causes(error)[-1])}.", key)
        return Mistake(
            start, f": expected {in_words(type_of(action))}, got {shortened(value)}.", key
        )


def spelling(action: argparse.Action) -> list[str]:
    """An argument as usage shows it: flag and value, or the name of a positional."""
    return [*action.option_strings[:1], action.dest.upper()]


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and its causes, the first cause last."""
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


def type_of(action: argparse.Action) -> Any:
    """The type hint of an argument."""
    return getattr(action, "_typehint", None) or action.type


def in_words(hint: Any) -> str:
    """A readable type: ``int or null``, ``'level', 'mask'``."""
    if get_origin(hint) is Literal:
        return ", ".join(map(repr, get_args(hint)))
    if len(parts := parts_of(hint)) > 1:
        return " or ".join(in_words(part) for part in parts)
    if hint in (None, NoneType):
        return "null"
    return str(hint) if get_origin(hint) else getattr(hint, "__name__", str(hint))


def class_names(value: Any) -> list[str]:
    """Names of the classes in a value: a name, ``class_path`` and arguments, or a list of these."""
    with suppress(yaml.YAMLError, ValueError):
        value = yaml.safe_load(value) if isinstance(value, str) else value
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [name for item in value for name in class_names(item)]
    known = isinstance(value, Mapping) or hasattr(value, "as_dict")
    return [str(value["class_path"])] if known and "class_path" in value else []


def classes_of(module: str, base: str) -> list[str]:
    """Names of a module's classes with an ancestor of this name, without shared bases."""
    public = vars(import_module(module))
    return [
        name
        for name in public["__all__"]
        if name not in SHARED
        and isinstance(public[name], type)
        and base in (ancestor.__name__ for ancestor in public[name].__mro__)
    ]


def check_files(files: Iterable[str]) -> None:
    """Refuse configuration files that are not YAML mappings."""
    for file in files:
        path = Path(file)
        if not path.is_file():
            what = "a directory" if path.is_dir() else "no such file"
            raise UserError(f"--config {file}: {what}. Name a file such as those in experiments/.")
        content = read_yaml(path)
        if not isinstance(content, dict | None):
            raise UserError(
                f"{file} is not a mapping with keys such as model: and data:; see experiments/."
            )


@contextmanager
def unwrapped() -> Iterator[None]:
    """Unwrap errors of constructors from those of jsonargparse."""
    try:
        yield
    except (TypeError, ValueError) as error:
        for cause in causes(error):
            *_, (frame, _) = walk_tb(cause.__traceback__)
            if not frame.f_globals["__name__"].startswith("jsonargparse."):
                raise cause if isinstance(cause, UserError) else UserError(str(cause)) from error
        raise UserError(plain(error)) from error


def meant(key: str, known: Iterable[str]) -> str:
    """The end of a sentence, with the closest known key, if one is close."""
    by_letters = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), by_letters, n=1)
    return f"; did you mean {by_letters[close[0]]!r}?" if close else "."


def place(key: str, files: Iterable[str], words: Iterable[str] = ()) -> str:
    """The flag that gives a key, or else the files that contain it, if any."""
    last = key.rpartition(".")[2]
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    if given := [flag for flag in flags if key and flag.endswith(f".{last}")]:
        return f" ({given[-1]})"
    holders = [f for f in files if key and Path(f).is_file() and f"{last}:" in Path(f).read_text()]
    return f" (in {', '.join(holders)})" if holders else ""


def parts_of(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def meant_value(value: Any, hint: Any) -> Any:
    """A value as its type needs it: ``None`` is null, and ``16.0`` an integer as W&B writes it."""
    parts = parts_of(hint)
    if value == "None" and NoneType in parts:
        return None
    if isinstance(value, float) and value.is_integer() and int in parts and float not in parts:
        return int(value)
    inner = {x for part in parts if get_origin(part) in (list, tuple) for x in get_args(part)}
    if isinstance(value, list) and int in inner and float not in inner:
        return [meant_value(item, int) for item in value]
    return value


def meant_word(word: str, hint: Any) -> str:
    """A word of the command line, changed if its value is (see ``meant_value``)."""
    if word != "None" and (str in parts_of(hint) or not re.search(r"\d\.0", word)):
        return word
    with suppress(yaml.YAMLError, ValueError):
        value = yaml.safe_load(word)
        meant = meant_value(value, hint)
        return word if repr(meant) == repr(value) else json.dumps(meant)
    return word


def plain(text: object) -> str:
    """An error of jsonargparse in one line, without the list of types that it has tried."""
    start, found, rest = " ".join(str(text).split()).partition("Does not validate against any of")
    return f"{start}got {rest.rpartition('Given value: ')[2]}" if found else start
