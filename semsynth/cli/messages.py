"""Messages about a wrong configuration: what, where, and what may have been meant."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import NoReturn

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from semsynth.errors import UserError

REFUSED_BY_CLASS = r"class_path '(?P<path>[\w.]+)':\s+Option '(?P<key>\w+)' is not accepted"
REFUSED_BY_FACTORY = (  # of the metrics, which are built later
    r"Option '(?P<key>\w+)' is not accepted\. Got value: Namespace\(class_path='(?P<path>[\w.]+)'"
)
OF_CLASS = r"class_path '([\w.]+)':\s+(?:Parser key \")?(\w+)\"?:\s+(.*)"
OF_FACTORY = (
    r"expects a function or a callable class: (?P<problem>.*?)\. "
    r"Got value: Namespace\(class_path='(?P<path>[\w.]+)'"
)
UNION = re.compile(
    r'Parser key "(?P<key>[\w.]+)":.*?\n\s*Errors:\n(?P<errors>.*)\n\s*Given value type:[^\n]*\n'
    r"\s*Given value: (?P<value>.*)",
    re.DOTALL,
)
CHOICES = {  # keys that name a class, where the classes are, and what they have in common
    "model": ("semsynth.methods", "LightningModule"),
    "data": ("semsynth.data", "SynthesisDataModule"),
    "evaluation.metrics": ("semsynth.metrics", "ImageMetric"),
    "trainer.callbacks": ("semsynth.callbacks", "Callback"),
}
WRAPPED = "Does not validate against any of the Union subtypes"
NO_DATA = "There are no data to work with. Name them: --data CLASS, or --config FILE."
SHARED = ("SynthesisDataModule", "PairsOnDisk", "MaskFolder", "ImageMetric")  # named in no YAML
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
    if re.search(r"arguments are required: \w+\.(model|data)\b", message):
        return REQUIRED if ".model" in message else NO_DATA
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
    if found := re.search(OF_CLASS, message):
        path, key, problem = found.groups()
        name = path.rsplit(".", 1)[-1]
        return f"{name}: argument {key!r}{place(key, files)}: {problem}"
    if found := re.search(OF_FACTORY, message, re.DOTALL):
        name = found["path"].rsplit(".", 1)[-1]
        return f"{name}: {' '.join(found['problem'].split())}."
    if found := UNION.search(message):
        return explain_union(found["key"], found["errors"], found["value"], message)
    if found := re.search(r'Parser key "([\w.]+)":\s+(Expected .*)', message, re.DOTALL):
        return f"{found[1]}: {' '.join(found[2].split())}."
    return message


def explain_union(key: str, errors: str, value: str, message: str) -> str:
    """Say what a value may be that is none of several kinds.

    Args:
        key: Dotted key of the value.
        errors: What each kind has against it.
        value: The value.
        message: The report that says so, for what is not understood.
    """
    if found := re.search(r"dot import path string: (\S+)", errors):
        module, base = CHOICES.get(key, ("", ""))
        known = classes_of(module, base) if module else []
        listed = f" There are {', '.join(known)}." if known else ""
        return f"{key}: there is no class {found[1]!r}{meant(found[1], known)}{listed}"
    kinds = re.findall(r"- Expected an? (.*)", errors)
    if not kinds or len(kinds) < len(re.findall(r"^\s*- ", errors, re.MULTILINE)):
        return message
    words = [kind.removeprefix("typing.").removeprefix("Literal") for kind in kinds]
    words = [re.sub(r"<class '(?:NoneType|(\w+))'>", lambda m: m[1] or "null", w) for w in words]
    return f"{key}: expected {' or '.join(words)}, got {value.strip()}."


def classes_of(module: str, base: str) -> list[str]:
    """Names of a module's classes that have an ancestor of this name, without those shared."""
    public = vars(import_module(module))
    return [
        name
        for name in public["__all__"]
        if name not in SHARED
        and isinstance(public[name], type)
        and base in (ancestor.__name__ for ancestor in public[name].__mro__)
    ]


def check_files(files: Iterable[str]) -> None:
    """See that configuration files are YAML with keys and values.

    Raises:
        UserError: One is missing or is something else.
    """
    for file in files:
        path = Path(file)
        if not path.is_file():
            what = "a directory" if path.is_dir() else "no such file"
            raise UserError(f"--config {file}: {what}. Name a file such as those in experiments/.")
        try:
            content = yaml.safe_load(path.read_text())
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"--config {file} is no YAML: {reason}.") from error
        if not isinstance(content, dict | None):
            raise UserError(
                f"--config {file} holds no keys and values such as model: and data:; see those in "
                "experiments/."
            )


@contextmanager
def unwrapped() -> Iterator[None]:
    """Bring to light what a constructor raised, which jsonargparse wraps in reports of its own.

    Raises:
        UserError: A constructor refused its values.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        found: BaseException = error
        while str(found).startswith(WRAPPED) and found.__cause__ is not None:
            found = found.__cause__
        if isinstance(found, UserError):
            raise found from None
        raise UserError(str(found)) from error


def arguments_of(class_path: str) -> list[str]:
    """Names of the arguments of a class's constructor."""
    module, name = class_path.rsplit(".", 1)
    return list(signature(getattr(import_module(module), name)).parameters)


def meant(key: str, known: Iterable[str]) -> str:
    """The end of a sentence: a question after the closest known key, if one is close."""
    by_letters = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), by_letters, n=1)
    return f"; did you mean {by_letters[close[0]]!r}?" if close else "."


def place(key: str, files: Iterable[str]) -> str:
    """The files in which a key stands."""
    pattern = re.compile(rf"\b{re.escape(key)}\b")
    paths = [Path(file) for file in files]
    holders = [str(p) for p in paths if p.is_file() and pattern.search(p.read_text())]
    return f" (in {', '.join(holders)})" if holders else ""
