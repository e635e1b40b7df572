"""``semsynth data check`` and ``semsynth data prepare``: the arguments; help imports no torch."""

import argparse
from pathlib import Path

DATA = "check and prepare data on disk"
CHECK = """\
Read every file of a data set: is it whole, is its partner there, do the sizes agree, has every
value of a label map a class? What is wrong is listed by kind, and the exit status is then 1.
"""
CHECK_EPILOG = """\
examples:
  semsynth data check --config experiments/clvae/ade20k.yaml
  semsynth data check --data ade20k --root DIR
  semsynth data check --data folder --root DIR --data.num_classes 12 --fix-palette

Arguments of the data set itself are given as for fit: --data.KEY VALUE.

--fix-palette replaces label maps in colour by indices of classes. The colours are those of the
label space; for a folder of yours they stand in ROOT/classes.txt, one class a line: sky #4682b4.
Black has no label where no class is black. The colours are kept beside as NAME.png.colour.
"""
PREPARE = """\
Verify an unpacked data set, count its samples, and write OUTPUT/manifest.jsonl (files, split and
size of each sample), classes.json (the label space) and stats.json (how often a class is seen). The
parts of CelebAMask-HQ are merged. Nothing is downloaded; where data are missing, their official
page is named. Stopped and started again, it goes on where it was.
"""
PREPARE_EPILOG = """\
examples:
  semsynth data prepare cityscapes --root DIR --dry-run
  semsynth data prepare celebamask-hq --root DIR --workers 16
  semsynth data prepare ade20k --root DIR --size 286 286
  semsynth data prepare folder --root DIR --data.num_classes=12

Arguments of the data set itself are given as for fit: --data.KEY=VALUE.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of both commands."""
    parser = argparse.ArgumentParser(
        prog="semsynth data", description=DATA.capitalize() + ".", allow_abbrev=False
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(verbs)
    _add_prepare(verbs)
    return parser


def run(args: list[str]) -> None:
    """Run a command.

    Args:
        args: The arguments after ``data``.
    """
    options, rest = build_parser().parse_known_args(args)
    from semsynth.cli import data_work as data_cli

    data_cli.run(options, rest)


def _add_check(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser(
        "check",
        help="read every file and list what is wrong",
        description=CHECK,
        epilog=CHECK_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(verb="check")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--config", type=Path, metavar="FILE", help="experiment whose data to check"
    )
    source.add_argument("--data", metavar="NAME", help="data set: ade20k, cityscapes, folder, ...")
    parser.add_argument("--root", metavar="DIR", help="directory of the data set")
    parser.add_argument("--limit", type=int, default=10, help="files to list of each kind (10)")
    parser.add_argument(
        "--fix-palette", action="store_true", help="convert label maps in colour to indices"
    )
    _add_workers(parser)


def _add_prepare(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser(
        "prepare",
        help="verify, count and describe an unpacked data set",
        description=PREPARE,
        epilog=PREPARE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(verb="prepare", config=None)
    parser.add_argument("data", metavar="NAME", help="data set: ade20k, cityscapes, folder, ...")
    parser.add_argument("--root", metavar="DIR", required=True, help="directory of the data set")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write (default: ROOT/prepared)"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="also resize all samples, for --data.cache OUTPUT/cache",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, metavar="N", help="threads (default: a few more than cores)"
    )
