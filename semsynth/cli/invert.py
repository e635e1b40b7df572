"""``semsynth invert``: the latents of photos, to be resumed at any time; help imports no torch."""

import argparse
from pathlib import Path

from semsynth.cli.arguments import at_least
from semsynth.errors import require_writable

EPILOG = """\
Each photo NAME gives OUT/NAME.safetensors with codes (1, num_ws, w_dim) and its noise maps, as
FewShotFolder reads them from ROOT/train/codes, and the image that they make as OUT/NAME.png.
Started again with the same options, the command goes on where it stopped.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth invert",
        description="Find the latents of photos by optimisation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prior", required=True, help="one that ships, or its safetensors file")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the photos")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--recipe",
        choices=["default", "upstream"],
        default="default",
        help="in W, then in W+ with noise maps; or as the released code of FewShotSMIS",
    )
    parser.add_argument(
        "--steps", type=at_least(2), help="steps (default: 1000, or 2000 of upstream)"
    )
    parser.add_argument(
        "--starts",
        type=at_least(1),
        default=1,
        help="latents to begin from, the best of which goes on (default: 1)",
    )
    parser.add_argument(
        "--perceptual",
        default="auto",
        metavar="NAME",
        help="distance beside that of pixels: alex, vgg, toy_portrait, a segmenter's file, or none "
        "(default: alex if its weights are here, else what the prior's card names, else none)",
    )
    parser.add_argument(
        "--batch_size", type=at_least(1), default=8, help="photos at a time (default: 8)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of start and noise (default: 0)")
    parser.add_argument("--device", default=None, help="default: cuda if there is one, else cpu")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    require_writable(options.out, "--out")
    from semsynth.cli.invert_work import invert_folder  # imports torch

    invert_folder(options)
