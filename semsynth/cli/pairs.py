"""``semsynth pairs``: a cache of pairs for layout editing; help imports no torch."""

import argparse
from pathlib import Path

from semsynth.cli.arguments import at_least
from semsynth.errors import require_writable

EPILOG = """\
Many processes can write one cache, each its own part: --shard 0/4 to --shard 3/4. Started again, a
command goes on where it stopped. Train on the cache with --data CachedPairs --data.root OUT and the
same values of the method's arguments.

  semsynth pairs --prior toy_portrait --estimator toy_flow --num 20000 --out pairs
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth pairs",
        description="Render pairs of a prior's images with the motion between them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prior", required=True, help="one that ships, or its safetensors file")
    parser.add_argument("--num", type=at_least(1), required=True, help="number of pairs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="part I, from 0, of N parts")
    parser.add_argument(
        "--estimator",
        default="dis",
        help="dis, toy_flow, raft_small, raft_large or a file (default: dis)",
    )
    parser.add_argument(
        "--num_tokens", type=at_least(1), default=6, help="latents that move (default: 6)"
    )
    parser.add_argument(
        "--perturbation",
        type=float,
        nargs=2,
        default=[0.1, 0.1],
        metavar=("LOW", "HIGH"),
        help="part of the way that they move towards random ones (default: 0.1 0.1)",
    )
    parser.add_argument("--truncation", type=float, default=0.3, help="default: 0.3")
    parser.add_argument("--feature_resolution", type=at_least(4), default=64, help="default: 64")
    parser.add_argument(
        "--canvas_size", type=at_least(16), help="default: the image's, at most 256"
    )
    parser.add_argument("--grid_size", type=at_least(1), default=16, help="default: 16")
    parser.add_argument(
        "--normalise_layers", action="store_true", help="as the released code normalises z"
    )
    parser.add_argument(
        "--centred", action="store_true", help="move latents around, not towards random ones"
    )
    parser.add_argument(
        "--shared", action="store_true", help="one random latent for all layers of an image"
    )
    parser.add_argument(
        "--upstream_input", action="store_true", help="as the released code feeds its estimator"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the pairs (default: 0)")
    parser.add_argument(
        "--batch_size", type=at_least(1), default=16, help="pairs at a time (default: 16)"
    )
    parser.add_argument("--device", default=None, help="default: cuda if there is one, else cpu")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    require_writable(options.out, "--out")
    from semsynth.cli.pairs_work import write_pairs  # imports torch

    write_pairs(options)
