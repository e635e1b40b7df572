"""``semsynth draw``: samples of a prior to be labelled by hand; help imports no torch."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semsynth.cli.arguments import at_least
from semsynth.errors import UserError, require_writable

if TYPE_CHECKING:
    from torch import Tensor

EPILOG = """\
Writes OUTPUT/train/images/NAME.png and, the code that made it, OUTPUT/train/codes/NAME.safetensors.
Draw a label map for each image as OUTPUT/train/labels/NAME.png: class indices in one channel; in
scribbles and landmarks 0 is unknown. Then train on the folder as FewShotFolder. Such images need no
inversion, so that labels and features agree.
"""
NOTE = """\
Samples of the prior {prior!r} (fingerprint {fingerprint}), seed {seed}.
For each of train/images/NAME.png put a label map of class indices, train/labels/NAME.png, here:
{labels}
Remove image and code of those that you do not label. Put masks to synthesise from in test/labels,
and then:
  semsynth fit --config experiments/fewshot_smis/YOURS.yaml --data.root {output}
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth draw",
        description="Draw samples of a generator, for you to label.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prior", required=True, help="one that ships, or its safetensors file")
    parser.add_argument("--num", type=at_least(1), default=8, help="samples (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (default: 0)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--truncation", type=float, default=1.0, help="1 is none, as in the paper (default: 1)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace samples that are there")
    return parser


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    require_writable(options.output, "--output")
    draw(options)


def draw(options: argparse.Namespace) -> None:
    """Write samples, their codes, an empty folder for labels, and what to do next."""
    import torch

    from semsynth.networks.noise import sample_seed, seeded_normal
    from semsynth.weights.priors import fingerprint, load_generator

    folder = options.output / "train"
    if any((folder / "codes").glob("*")) and not options.overwrite:
        raise UserError(f"{folder} holds samples already; add --overwrite, or name another place.")
    generator = load_generator(options.prior)
    labels = folder / "labels"
    labels.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for index in torch.arange(options.num).split(8):
            z = seeded_normal(sample_seed(options.seed, index), generator.z_dim)
            w_plus = generator.repeat(generator.truncate(generator.mapping(z), options.truncation))
            images = generator.synthesis(w_plus)
            for i, image, code in zip(index.tolist(), images, w_plus, strict=True):
                write(folder, f"{options.seed}_{i:04d}", image, code)
    note = NOTE.format(
        prior=options.prior,
        fingerprint=fingerprint(generator)[:12],
        seed=options.seed,
        labels=labels,
        output=options.output,
    )
    (options.output / "README.txt").write_text(note)
    print(note, end="")


def write(folder: Path, name: str, image: "Tensor", code: "Tensor") -> None:
    """Write a sample (3, H, W) in [-1, 1] and its code (num_ws, w_dim), renamed when complete."""
    from safetensors.torch import save_file

    from semsynth.images import save_png, to_uint8

    save_png(to_uint8(image), folder / "images" / f"{name}.png")
    codes = folder / "codes"
    codes.mkdir(parents=True, exist_ok=True)
    temporary = codes / f".{name}.part"
    save_file({"codes": code[None].contiguous()}, temporary)
    temporary.replace(codes / f"{name}.safetensors")
