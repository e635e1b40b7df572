"""``semsynth edit``: drag, zoom and hold points of an image; help imports no torch."""

import argparse
from pathlib import Path

from semsynth.errors import require_writable

EPILOG = """\
Points are in pixels of the canvas, x to the right and y down; its size is the image's, at most 256.
All marks of a command act together.

  semsynth edit --prior toy_portrait --seed 3 --drag 32,36,5,0 --anchor 20,50 --output edit
  semsynth edit --ckpt_path RUN/checkpoints/last.ckpt --seed 3 --zoom 32,32,-0.15 --closed_loop \\
      --output edit

The output has before.png, after.png, edit.gif and trajectory.json, which the command goes on from:
--trajectory FILE in place of --seed.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth edit",
        description="Move the content of an image: a sample, a photo, or where an edit ended.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    editor = parser.add_mutually_exclusive_group(required=True)
    editor.add_argument(
        "--prior",
        help="one that ships, or its safetensors file; edits by the transformer that ships with "
        "it, and without one by optimisation, which takes seconds to minutes",
    )
    editor.add_argument(
        "--ckpt_path",
        metavar="FILE",
        help="a UserControllableLT: a checkpoint, or a safetensors file with its card",
    )
    parser.add_argument("--optimise", action="store_true", help="edit by optimisation in any case")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--seed", type=int, default=0, help="start from this sample (default: 0)")
    start.add_argument("--image", type=Path, metavar="FILE", help="start from a photo")
    start.add_argument(
        "--trajectory", type=Path, metavar="FILE", help="go on from a saved trajectory"
    )
    parser.add_argument(
        "--truncation", type=float, default=0.7, help="truncation of samples (default: 0.7)"
    )
    parser.add_argument(
        "--drag", action="append", default=[], metavar="X,Y,DX,DY", help="move a point by DX, DY"
    )
    parser.add_argument("--anchor", action="append", default=[], metavar="X,Y", help="hold a point")
    parser.add_argument(
        "--zoom",
        action="append",
        default=[],
        metavar="X,Y,S",
        help="log of the old over the new size: -0.15 comes closer, 0.15 goes away",
    )
    parser.add_argument(
        "--closed_loop", action="store_true", help="look where points went, and correct"
    )
    parser.add_argument("--style", type=int, metavar="SEED", help="take this sample's style first")
    parser.add_argument("--mp4", action="store_true", help="write edit.mp4 too")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--device", default=None, help="default: cuda if there is one, else cpu")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    # argparse takes a value such as -3,4 for an option
    options = build_parser().parse_args(joined(args))
    require_writable(options.output, "--output")
    from semsynth.cli.edit_work import edit_files  # imports torch

    edit_files(options)


def joined(args: list[str]) -> list[str]:
    """Arguments with ``--drag VALUE`` written as ``--drag=VALUE``."""
    result: list[str] = []
    values = iter(args)
    for argument in values:
        if argument in ("--drag", "--anchor", "--zoom"):
            argument = f"{argument}={next(values, '')}"
        result.append(argument)
    return result
