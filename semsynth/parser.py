"""Messages about a wrong configuration: what, where, and what may have been meant."""

import difflib
import re
from collections.abc import Iterable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

REFUSED_BY_CLASS = r"class_path '(?P<path>[\w.]+)':\s+Option '(?P<key>\w+)' is not accepted"
REFUSED_BY_FACTORY = (  # of the metrics, which are built later
    r"Option '(?P<key>\w+)' is not accepted\. Got value: Namespace\(class_path='(?P<path>[\w.]+)'"
)
OF_FACTORY = (
    r"expects a function or a callable class: (?P<problem>.*?)\. "
    r"Got value: Namespace\(class_path='(?P<path>[\w.]+)'"
)
REQUIRED = (
    "There is no method and no data to work with. Name an experiment, --config "
    "experiments/clvae/toy_street.yaml, or a checkpoint of a run, --ckpt_path FILE."
)


class Parser(LightningArgumentParser):
    """LightningCLI's parser with messages in one sentence.

    Attributes:
        files: Configuration files of the command line, to say which of them a mistake is in.
    """

    files: tuple[str, ...] = ()

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Explain what is wrong and exit with status 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        keys = [action.dest for p in (parser, *self.subparsers()) for action in p._actions]
        super().error(explain(message, keys, self.files), ex)

    def subparsers(self) -> list["Parser"]:
        """Parsers of the commands, if this is the parser that stands before them."""
        choices = [action.choices for action in self._actions if isinstance(action.choices, dict)]
        return [parser for of_action in choices for parser in of_action.values()]


def explain(message: str, keys: Iterable[str] = (), files: Iterable[str] = ()) -> str:
    """Say in one sentence what jsonargparse reports in many lines.

    Args:
        message: The report.
        keys: Keys that there are, for suggestions.
        files: Configuration files in which a wrong key may stand.
    """
    if "arguments are required" in message and ".model" in message:
        return REQUIRED
    if found := re.search(REFUSED_BY_CLASS, message) or re.search(REFUSED_BY_FACTORY, message):
        path, key = found["path"], found["key"]
        name = path.rsplit(".", 1)[-1]
        names = arguments_of(path)
        return f"{name} has no argument {key!r}{place(key, files)}{meant(key, names)}"
    if found := re.search(r"does not accept option '([\w.]+)'", message):
        key = found.group(1)
        last = key.rsplit(".", 1)[-1]
        return f"There is no key {key!r}{place(last, files)}{meant(key, keys)}"
    if found := re.search(r"nrecognized arguments: --([\w.]+)", message):
        key = found.group(1)
        return f"There is no flag '--{key}'{meant(key, keys)}"
    if found := re.search(r"class_path '([\w.]+)':\s+Parser key \"(\w+)\":\s+(.*)", message):
        path, key, problem = found.groups()
        name = path.rsplit(".", 1)[-1]
        return f"{name}: argument {key!r}{place(key, files)}: {problem}"
    if found := re.search(OF_FACTORY, message, re.DOTALL):
        name = found["path"].rsplit(".", 1)[-1]
        return f"{name}: {' '.join(found['problem'].split())}."
    return message


def arguments_of(class_path: str) -> list[str]:
    """Names of the arguments of a class's constructor."""
    module, name = class_path.rsplit(".", 1)
    return list(signature(getattr(import_module(module), name)).parameters)


def meant(key: str, known: Iterable[str]) -> str:
    """The end of a sentence: a question after the closest known key, if one is close."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def place(key: str, files: Iterable[str]) -> str:
    """The files in which a key stands."""
    pattern = re.compile(rf"\b{re.escape(key)}\b")
    paths = [Path(file) for file in files]
    holders = [str(p) for p in paths if p.is_file() and pattern.search(p.read_text())]
    return f" (in {', '.join(holders)})" if holders else ""
