"""``semsynth export``: a labelled data set made to order; help imports no torch."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Write labelled images that a trained method makes: images, label maps of class indices, classes,
splits, and a manifest with seed, source and confidence of each.

From masks: --ckpt_path of CLVAE or FewShotSMIS. The masks are the labelled ones of its training, or
those of --masks, as they are or edited, in as many styles as you like.
From samples: --ckpt_path of FewShotSMIS with --source samples, or --prior and --labelled: samples
of the generator, with pseudo-labels that its features give.
"""
EPILOG = """\
examples:
  semsynth export --ckpt_path CLVAE.ckpt --num 2000 --paste car person --output exported
  semsynth export --ckpt_path CLVAE.ckpt --masks DIR --edit none --styles 8 --output exported
  semsynth export --prior toy_portrait --labelled mine --layers 16 32 --num 5000 --output exported

Filters look at the samples, and a sample that does not pass goes to OUTPUT/dropped. Their
thresholds keep a share of the best (--keep), or are the lowest at which so many of the held-out
pixels and masks are right (--target_precision and --held_out, a folder with images and labels):
  agreement        mean IoU of --judges with the mask, of each image
  class_agreement  the same for each class; the pixels of a class that fails become unlabelled, 255
  disagreement     of several --judges (Jensen-Shannon); pixels above it become unlabelled
  margin           of a pseudo-label before the next class; pixels below it become unlabelled
  copies           distance to the nearest labelled training image, at least --min_distance

Many processes can write one data set: start the same command under torchrun, or with --shard 0/4 to
--shard 3/4. Started again, it goes on where it stopped; the files are the same. Read the result as
Folder, beside your own labels as Extended, and check it: semsynth data check --data folder.
"""
STYLE = "CLVAE: drawn anew, or recombined from labelled photos, class by class (default: drawn)"


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="semsynth export",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="where to write")
    add("--ckpt_path", type=Path, metavar="FILE", help="checkpoint of CLVAE or FewShotSMIS")
    add("--prior", help="a prior that ships, or its safetensors file")
    add("--labelled", type=Path, metavar="DIR", help="few labelled images, as FewShotFolder")
    add("--labelling", choices=("dense", "linear", "sparse"), default="dense", help="with --prior")
    add("--layers", type=int, nargs="+", metavar="SIZE", help="sizes of the features that label")
    add("--perceptual", default="auto", help="distance of inversion, as of semsynth invert")
    add("--inversion_steps", type=int, metavar="N", help="of labelled photos without codes")
    add("--source", choices=("masks", "samples"), help="default: masks of a checkpoint")
    add("--masks", type=Path, metavar="DIR", help="masks (default: labelled ones of the training)")
    add("--edit", choices=("none", "warp"), help="default: none of --masks, else warp")
    add("--paste", nargs="+", metavar="CLASS", default=[], help="classes put into other masks")
    add("--styles", type=int, default=1, metavar="K", help="images of a mask (default: 1)")
    add("--style", choices=("drawn", "photos"), default="drawn", help=STYLE)
    add("--num", type=int, metavar="N", help="samples (default: --styles for each mask)")
    add("--truncation", type=float, default=1.0, help="of samples; 1 is none (default: 1)")
    add("--seed", type=int, default=0, help="seed of all that is drawn (default: 0)")
    add(
        "--split",
        type=float,
        nargs=3,
        default=[0.9, 0.1, 0.0],
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares (default: 0.9 0.1 0)",
    )
    add("--format", choices=("folder", "webdataset"), default="folder", help="default: folder")
    add_filters(parser)
    add("--batch_size", type=int, default=32, metavar="N", help="drawn at once (default: 32)")
    add("--chunk", type=int, default=256, metavar="N", help="of a shard, and of a loss (256)")
    add("--shard", metavar="I/N", help="part I, from 0, of N (default: as torchrun numbers it)")
    add("--device", help="default: cuda if there is one, else cpu")
    return parser


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add what says which samples are good enough."""
    group = parser.add_argument_group("filters")
    names = ("agreement", "class_agreement", "disagreement", "margin", "copies")
    group.add_argument("--filters", nargs="+", choices=names, default=[], metavar="NAME")
    group.add_argument(
        "--judges", nargs="+", default=[], metavar="FILE", help="segmenters trained on your labels"
    )
    group.add_argument("--keep", type=float, default=0.8, help="share that is kept (default: 0.8)")
    group.add_argument("--target_precision", type=float, metavar="P", help="instead of --keep")
    group.add_argument("--held_out", type=Path, metavar="DIR", help="labelled images to measure it")
    group.add_argument(
        "--min_distance", type=float, default=0.03, help="of colours in [0, 1] (default: 0.03)"
    )


def run(args: list[str]) -> None:
    """Run the command.

    Args:
        args: The arguments after the command.
    """
    options = build_parser().parse_args(args)
    from semsynth.export.command import export  # imports torch

    export(options)
