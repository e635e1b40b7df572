"""The command ``semsynth``; help and version do not import torch."""

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from semsynth import __version__
from semsynth.cli.sbatch import script, wants_script
from semsynth.errors import UsageError, UserError

COMMANDS = {
    "fit": "train a method, then test it",
    "validate": "measure a checkpoint on the validation split",
    "test": "measure a checkpoint on the test split",
    "predict": "synthesise images from a folder of masks",
}
TOOLS = {  # each is a function, or several by name, in the file of that name
    "data": "check and prepare data on disk",
    "import": "convert an official checkpoint, or one of ours, to a prior",
    "draw": "draw samples of a prior for you to label",
    "pairs": "render pairs for layout editing",
    "invert": "find the latents of photos",
    "export": "write a labelled data set made by a method",
    "edit": "drag, zoom and hold points of an image",
    "studio": "paint, scribble and drag in a browser",
    "evaluate": "score a folder of images",
    "weights": "list, fetch and check pretrained weights",
    "doctor": "check the installation and suggest fixes",
    "completion": "print a script for your shell",
}
DEBUG = "--debug"
EPILOG = """\
examples:
  semsynth fit --config experiments/clvae/toy_street.yaml
  semsynth fit --config experiments/clvae/ade20k.yaml --data.root DIR --trainer.devices 4
  semsynth fit --print-sbatch partition=gpu --config FILE --trainer.devices 4 > job.sh
  semsynth test --ckpt_path outputs/clvae/toy_street/RUN/checkpoints/last.ckpt
  semsynth predict --ckpt_path RUN/checkpoints/last.ckpt --masks DIR --num_samples 8 --seed 0
  semsynth data check --config experiments/clvae/ade20k.yaml --data.root DIR
  semsynth import ffhq.pkl --as stylegan2 --out priors
  semsynth export --ckpt_path RUN/checkpoints/last.ckpt --num 2000 --output exported
  semsynth edit --prior toy_portrait --seed 3 --drag 32,40,4,0 --output edit
  semsynth studio
  semsynth evaluate --real DIR --fake DIR
  semsynth weights list

Each command explains its own arguments: semsynth fit --help. The arguments of one method or data
set: semsynth fit --model.help CLVAE, semsynth fit --data.help ToyStreet.
"""


def main(args: list[str] | None = None) -> None:
    """Run the command line; user errors end in one message and status 1 or 2."""
    given = sys.argv[1:] if args is None else args
    args = [arg for arg in given if arg != DEBUG]
    # a tool may get an invalid value unforeseen; in a training that is a bug, so keep the trace
    foreseen = ValueError if args and args[0] in TOOLS else UserError
    try:
        dispatch(args)
    except (foreseen, OSError) as error:
        if DEBUG in given:
            raise
        message = f"semsynth {args[0]}: {error}"
        if not isinstance(error, UsageError):
            sys.exit(message)
        sys.stderr.write(f"{message}\n")
        sys.exit(2)
    except RecursionError:
        if DEBUG in given:
            raise
        sys.exit(f"semsynth {args[0]}: the arguments are nested too deeply.")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)  # 128 + SIGINT


def dispatch(args: list[str]) -> None:
    """Run the command of the arguments; a tool that returns False ends with status 1."""
    if not args or args[0] not in {*COMMANDS, *TOOLS}:
        menu("semsynth", COMMANDS | TOOLS).parse_args(args or ["--help"])
    elif args[0] in COMMANDS:
        if wants_script(args):
            sys.stdout.write(script(args))
            return
        from semsynth.cli.train import run  # imports torch

        run(args)
    else:
        from semsynth.cli.parsing import arguments_of

        function, rest, prog = find(args)
        if function(**arguments_of(function, rest, prog)) is False:
            sys.exit(1)


def find(args: list[str]) -> tuple[Callable[..., Any], list[str], str]:
    """The function of a tool, its arguments, and the words before them."""
    function, prog, rest = tool(args[0]), f"semsynth {args[0]}", args[1:]
    if isinstance(function, dict):
        if not rest or rest[0] not in function:
            menu(prog, verbs(function)).parse_args(rest)
        function, prog, rest = function[rest[0]], f"{prog} {rest[0]}", rest[1:]
    return function, rest, prog


def tool(name: str) -> Any:
    """The function of a tool, or its functions by verb."""
    file = "convert" if name == "import" else name  # import is a Python keyword
    module = import_module(f"semsynth.cli.{file}")
    return getattr(module, "VERBS", None) or getattr(module, file)


def verbs(functions: dict[str, Any]) -> dict[str, str]:
    """The first line of each function's docstring."""
    return {name: function.__doc__.splitlines()[0] for name, function in functions.items()}


def menu(prog: str, entries: dict[str, str]) -> argparse.ArgumentParser:
    """The parser of the words before a command or verb."""
    whole = prog == "semsynth"
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Semantic image synthesis with little or no labelled data." if whole else None,
        epilog=EPILOG if whole else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if whole:
        parser.add_argument("--version", action="version", version=f"semsynth {__version__}")
        parser.add_argument(DEBUG, action="store_true", help="show the stack trace of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in entries.items():
        commands.add_parser(name, help=text)
    return parser
