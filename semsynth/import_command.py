"""``semsynth import``: official checkpoints, and our own trainings, to priors."""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semsynth.interop.stylegan2 import ImportedStyleGAN2

EPILOG = """\
formats of stylegan2:
  .pt    of rosinality's code (converted, or of a training), bundles of pSp and its descendants
  .pkl   of NVIDIA's stylegan2-ada-pytorch and stylegan3 repositories (StyleGAN2 networks)
  .ckpt  of our own method StyleGAN2
Nothing that a file carries is run.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth import",
        description="Convert a checkpoint to one safetensors file with a JSON card.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the checkpoint")
    parser.add_argument(
        "--as", dest="kind", choices=["stylegan2"], required=True, help="what it is"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--half", action="store_true", help="store float16, in half the space")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    return parser


def run(args: list[str]) -> None:
    """Run the command; a file that cannot be imported ends in one message.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    from semsynth.interop.checkpoints import CheckpointError  # these import torch
    from semsynth.interop.stylegan2 import import_stylegan2
    from semsynth.priors import PriorError, save_generator

    target = options.out / f"{options.file.stem}.safetensors"
    try:
        if target.exists() and not options.overwrite:
            raise PriorError(f"{target} is there already; replace it with --overwrite.")
        imported = import_stylegan2(options.file)
        card = describe(imported, options.file)
        networks = imported.generator, target, card, imported.discriminator
        save_generator(*networks, half=options.half)
    except (CheckpointError, PriorError) as error:
        sys.exit(f"semsynth import: {error}")
    print(summary(card))
    print(f"Wrote {target} and {target.with_suffix('.json').name}.")


def describe(imported: "ImportedStyleGAN2", file: Path) -> dict[str, Any]:
    """The card of an imported prior."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    card = {
        "what": "StyleGAN2 prior",
        "generator": imported.generator_arguments,
        "discriminator": imported.discriminator_arguments,
        "mean_latent": "estimated" if imported.mean_latent_estimated else "of the source",
        "source": {
            "file": file.name,
            "sha256": digest,
            "format": imported.source.format,
            "left_out": imported.source.left_out,
        },
        "licence": imported.source.licence,
    }
    return {key: value for key, value in card.items() if value is not None}


def summary(card: dict[str, Any]) -> str:
    """What was found, for the user."""
    G, source = card["generator"], card["source"]
    what = "generator and discriminator" if "discriminator" in card else "generator"
    left_out = ", ".join(source["left_out"]) or "nothing"
    return (
        f"{source['file']} ({source['format']}): {what}.\n"
        f"Images of {G['image_size']}x{G['image_size']}, z {G['z_dim']}, w {G['w_dim']}, "
        f"{G['mapping_layers']} mapping layers, channel_base {G['channel_base']}, channel_max "
        f"{G['channel_max']}; mean latent {card['mean_latent']}; left out: {left_out}.\n"
        f"Licence: {card['licence']}."
    )
