"""``semsynth import``: official checkpoints, and our own trainings, to ours."""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semsynth.cli.arguments import at_least
from semsynth.errors import require_writable

if TYPE_CHECKING:
    from semsynth.interop.stylegan2 import ImportedStyleGAN2

EPILOG = """\
formats of stylegan2:
  .pt    of rosinality's code (converted, or of a training), bundles of pSp and its descendants
  .pkl   of NVIDIA's stylegan2-ada-pytorch and stylegan3 repositories (StyleGAN2 networks)
  .ckpt  of our own method StyleGAN2
format of fewshot_smis:
  .pt    of pSp and its descendants: an encoder, for a method, and its generator, a prior
format of user_controllable_lt:
  .pt    as released: a latent transformer, NAME_layout, and its generator, a prior,
         NAME_stylegan2. Give --dataset, for the files do not say in which units of motion they
         were trained
formats of clvae, imported to a run directory for --ckpt_path:
  DIR    with latest_net_G.pth and, if you have them, latest_net_E.pth and latest_net_D.pth
  .pth   *_net_G.pth of another epoch; the others are looked for beside it
Nothing that a file carries is run.
"""
LABEL_ORDER = """clvae: raw if channel 0 of the checkpoint is unknown and channel k the value k of
the label files, as in the official checkpoints for ADE20K, whose shift of the labels has no effect;
the channels are then brought to the order of our ADE20K, unknown last. shifted takes the channels
as they are. Default: raw for 151 classes, else shifted"""
IMAGE_SIZE = """clvae: height and width of the images, which the shapes of the weights cannot tell
(default: those of the paper's models with as large a first map)"""

DATASETS = ("ffhq", "car", "cat", "church", "anime")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth import",
        description="Convert a checkpoint: stylegan2 to one safetensors file with a JSON card, "
        "clvae to a run directory for --ckpt_path.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the checkpoint")
    parser.add_argument("--as", dest="kind", choices=WRITERS, required=True, help="what it is")
    parser.add_argument(
        "--dataset", choices=DATASETS, help="what a latent transformer was trained on"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--half", action="store_true", help="store float16, in half the space")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--label_order", choices=["raw", "shifted"], help=LABEL_ORDER)
    parser.add_argument(
        "--image_size", type=at_least(1), nargs=2, metavar=("HEIGHT", "WIDTH"), help=IMAGE_SIZE
    )
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    require_writable(options.out, "--out")
    sys.stdout.write(WRITERS[options.kind](options))


def write_prior(options: argparse.Namespace) -> str:
    """Import StyleGAN2 and write it; returns what was found and where it is."""
    from semsynth.interop.stylegan2 import import_stylegan2
    from semsynth.weights.priors import save_generator

    (target,) = free_targets(options, "")
    imported = import_stylegan2(options.file)
    card = describe(imported, options.file)
    networks = imported.generator, target, card, imported.discriminator
    save_generator(*networks, half=options.half)
    return summary(card) + wrote(target)


def write_encoder(options: argparse.Namespace) -> str:
    """Import an encoder and its generator and write both; returns what was found and where."""
    from semsynth.interop.psp import import_psp
    from semsynth.weights.encoders import SUFFIX, save_encoder
    from semsynth.weights.priors import read_card, save_generator

    prior, target = free_targets(options, "", SUFFIX)
    imported = import_psp(options.file)
    card = describe(imported.prior, options.file)
    save_generator(imported.prior.generator, prior, card, half=options.half)
    source = {key: card[key] for key in ("source", "licence")}
    encoder = {"encoder": imported.encoder_arguments, "prior": read_card(prior)["fingerprint"]}
    what = {"what": "encoder of layouts to styles", "prior_file": prior.name}
    save_encoder(imported.encoder, target, what | encoder | source, half=options.half)
    E = imported.encoder_arguments
    return (
        summary(card)
        + f"Encoder of {E['in_channels']} channels at {E['image_size']}x{E['image_size']} to "
        f"{E['num_ws']} styles.\n" + wrote(prior) + wrote(target)
    )


def free_targets(options: argparse.Namespace, *suffixes: str) -> list[Path]:
    """Where to write, after a check that nothing is lost."""
    from semsynth.weights import WeightsError

    targets = [options.out / f"{options.file.stem}{suffix}.safetensors" for suffix in suffixes]
    for target in targets:
        if target.exists() and not options.overwrite:
            raise WeightsError(f"{target} is there already; replace it with --overwrite.")
    return targets


def wrote(target: Path) -> str:
    """Where something was written, for the user."""
    return f"Wrote {target} and {target.with_suffix('.json').name}.\n"


def write_latent_transformer(options: argparse.Namespace) -> str:
    """Import a latent transformer and its generator and write both; returns what was found."""
    from semsynth.cli.convert_editor import import_editor

    return import_editor(options)


def write_clvae(options: argparse.Namespace) -> str:
    """Import CLVAE's networks to a run directory; returns what was found and where it is."""
    from semsynth.interop.checkpoints import CheckpointError
    from semsynth.interop.clvae import LICENCE, import_clvae, save_clvae

    target = options.out / "checkpoints" / "official.ckpt"
    size = None if options.image_size is None else tuple(options.image_size)
    if options.half:
        raise CheckpointError("--half is for safetensors; checkpoints of methods are float32.")
    if target.exists() and not options.overwrite:
        raise CheckpointError(f"{target} is there already; replace it with --overwrite.")
    imported = import_clvae(options.file, size, options.label_order)
    save_clvae(imported, options.out)
    a = imported.arguments
    return (
        f"{', '.join(file.name for file in imported.files)}: images of {a['image_size'][0]}x"
        f"{a['image_size'][1]} (upsampling {a['upsampling']}), {a['num_classes']} classes in "
        f"{imported.label_order} order, codes of {a['code_dim']}, channels {a['channels']}; not "
        f"there: {', '.join(imported.absent) or 'nothing'}.\nLicence: {LICENCE}.\n"
        f"Wrote {target}. Go on with: semsynth predict --ckpt_path {target} --masks DIR\n"
    )


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
        f"Licence: {card['licence']}.\n"
    )


WRITERS = {
    "stylegan2": write_prior,
    "fewshot_smis": write_encoder,
    "user_controllable_lt": write_latent_transformer,
    "clvae": write_clvae,
}
