"""The command ``semsynth``. Help and version answer at once: torch is imported only to do work."""

import argparse
import sys
from importlib import import_module

from semsynth import __version__
from semsynth.cli.sbatch import script, wants_script
from semsynth.errors import UserError

COMMANDS = {
    "fit": "train a method, then test it",
    "validate": "measure a checkpoint on the validation split",
    "test": "measure a checkpoint on the test split",
    "predict": "synthesise images from a folder of masks",
}
TOOLS = {  # commands with a parser of their own: what they do, and the module whose run does it
    "data": ("check and prepare data on disk", "semsynth.cli.data"),
    "import": (
        "convert an official checkpoint, or one of ours, to a prior",
        "semsynth.cli.convert",
    ),
    "draw": ("draw samples of a prior for you to label", "semsynth.cli.draw"),
    "pairs": ("render pairs for layout editing", "semsynth.cli.pairs"),
    "invert": ("find the latents of photos", "semsynth.cli.invert"),
    "export": ("write a labelled data set that a method makes", "semsynth.cli.export"),
    "edit": ("drag, zoom and hold points of an image", "semsynth.cli.edit"),
    "studio": ("paint, scribble and drag in a browser", "semsynth.cli.studio"),
    "evaluate": ("measure a folder of images that anyone made", "semsynth.cli.evaluate"),
    "weights": ("list, fetch and check pretrained weights", "semsynth.cli.weights"),
    "doctor": ("say what is here, what will not work, and what to do", "semsynth.cli.doctor"),
    "completion": ("print a script for your shell", "semsynth.cli.completion"),
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


def build_parser() -> argparse.ArgumentParser:
    """The parser for everything that stands before a command."""
    parser = argparse.ArgumentParser(
        prog="semsynth",
        description="Semantic image synthesis with little or no labelled data.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"semsynth {__version__}")
    parser.add_argument(DEBUG, action="store_true", help="show where a mistake was found")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in [*COMMANDS.items(), *((name, text) for name, (text, _) in TOOLS.items())]:
        commands.add_parser(name, help=text)
    return parser


def main(args: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends in one message and status 1.

    Args:
        args: Arguments without the program's name; those of the process if not given.
    """
    given = sys.argv[1:] if args is None else args
    args = [arg for arg in given if arg != DEBUG]
    # a value that no check foresaw can be a tool's user's alone; of a training, keep the trace
    foreseen = ValueError if args and args[0] in TOOLS else UserError
    try:
        dispatch(args)
    except (foreseen, OSError) as error:
        if DEBUG in given:
            raise
        sys.exit(f"semsynth {args[0]}: {error}")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)  # as shells say it


def dispatch(args: list[str]) -> None:
    """Do what the arguments ask for.

    Args:
        args: The command and its arguments.
    """
    if args and args[0] in TOOLS:
        import_module(TOOLS[args[0]][1]).run(args[1:])
    elif not args or args[0] not in COMMANDS:
        build_parser().parse_args(args or ["--help"])
    elif wants_script(args):
        sys.stdout.write(script(args))
    else:
        from semsynth.cli.train import run  # imports torch

        run(args)
