"""``semsynth weights``: list, fetch, verify, find and import pretrained weights."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from semsynth import weights
from semsynth.weights import download, store
from semsynth.weights.registry import DOWNLOADS

DESCRIPTION = """\
Pretrained weights that a run needs and that cannot ship with the package. A training never
downloads: fetch the files once, on a machine with network.
"""
EPILOG = """\
examples:
  semsynth weights list
  semsynth weights fetch inception alexnet
  semsynth weights fetch --all-for experiments/clvae/ade20k.yaml --data.root DIR
  semsynth weights import ~/Downloads/inception-2015-12-05.pt --as inception

Files go to SEMSYNTH_WEIGHTS if it is set, else to SEMSYNTH_HOME/weights, where SEMSYNTH_HOME is
~/.cache/semsynth unless you set it. Torch's cache is searched too.
A name is one of `list`, or hf:OWNER/REPOSITORY for a repository of the Hugging Face Hub, which is
kept in the hub's own cache.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``semsynth weights``."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "semsynth weights", description=DESCRIPTION, epilog=EPILOG, formatter_class=formatter
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("list", help="what there is, and what of it is here")
    fetch = verbs.add_parser("fetch", help="download into the cache, checked and resumable")
    fetch.add_argument("names", nargs="*", metavar="NAME")
    fetch.add_argument(
        "--all-for",
        nargs=argparse.REMAINDER,
        metavar="CONFIG",
        help="fetch all that an experiment needs; flags of `semsynth fit` may follow",
    )
    verify = verbs.add_parser("verify", help="compare sizes and checksums")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are here")
    where = verbs.add_parser("where", help="print the path of a file")
    where.add_argument("name", metavar="NAME")
    importing = verbs.add_parser(
        "import", help="copy a file into the cache, if it is the right one"
    )
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--as", dest="name", required=True, metavar="NAME")
    return parser


def run(args: list[str]) -> None:
    """Run ``semsynth weights``.

    Args:
        args: Arguments after ``weights``.
    """
    parser = build_parser()
    options = parser.parse_args(args)
    try:
        code = act(options)
    except KeyError as error:
        parser.error(error.args[0])
    sys.exit(code)


def act(options: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code."""
    if options.verb == "list":
        return list_weights()
    if options.verb == "verify":
        return verify(options.names)
    if options.verb == "where":
        return where(options.name)
    if options.verb == "import":
        print_path(options.name, download.import_file(options.file, options.name))
        return 0
    if not options.names and not options.all_for:
        raise KeyError("fetch needs a NAME or --all-for CONFIG.")
    if not download.is_first_process():
        return 0  # the first process of the job fetches
    fetch(options.names)
    if options.all_for:
        fetch_all_for(["--config", *options.all_for])
    return 0


def fetch(names: Iterable[str]) -> None:
    """Fetch files and print where they are."""
    for name in names:
        print_path(name, download.fetch(name))


def fetch_all_for(fit_arguments: list[str]) -> None:
    """Fetch what a training with these arguments needs: build its parts until none is missing."""
    from semsynth.cli.train import prepare_weights  # imports torch

    fetched: set[str] = set()
    while True:
        try:
            prepare_weights(fit_arguments)
            break
        except weights.MissingWeightsError as error:
            if not set(error.names) - fetched:  # nothing that fetching can mend
                raise
            fetch(sorted(set(error.names) - fetched))
            fetched |= set(error.names)
    Console().print("Everything that the experiment needs is here.")


def list_weights() -> int:
    """Print a table of all weights, where they are, and what is missing."""
    table = Table(title="Pretrained weights")
    for column in ("name", "for", "size", "licence", "here"):
        table.add_column(column, overflow="fold")
    for name, known in DOWNLOADS.items():
        path = store.locate(name)
        size = f"{known.size / 1e6:.0f} MB"
        table.add_row(name, known.purpose, size, known.licence, str(path) if path else "missing")
    for name in weights.shipped():
        file = weights.ASSETS / f"{name}_segmenter.safetensors"
        size = f"{file.stat().st_size / 1e6:.1f} MB"
        table.add_row(name, "toy segmenter and features", size, "Apache-2.0", "ships")
    console = Console()
    console.print(table)
    for name, known in DOWNLOADS.items():
        console.print(f"{name}: {known.address}\n  sha256 {known.sha256}", soft_wrap=True)
    return 0


def verify(names: list[str]) -> int:
    """Compare files with their checksums; return 1 if one is bad or missing."""
    bad = False
    for name in names or [name for name in DOWNLOADS if store.locate(name)]:
        path = store.locate(name)
        if path is None:
            problem: str | None = f"missing; fetch it with: semsynth weights fetch {name}"
        elif name.startswith(store.HUB):
            problem = download.problem_of_repository(path)
        else:
            problem = download.problem_of(path, DOWNLOADS[name])
        Console().print(f"{name}: {problem or f'good ({path})'}", soft_wrap=True)
        bad = bad or problem is not None
    return int(bad)


def where(name: str) -> int:
    """Print the path of a file alone, for scripts; return 1 if it is missing."""
    path = store.locate(name)
    if path is None:
        looked = ", ".join(map(str, store.places(name)))
        raise weights.MissingWeightsError(f"{name} is in none of {looked}.", [name])
    Console().print(path, soft_wrap=True, highlight=False)
    return 0


def print_path(name: str, path: Path) -> None:
    """Say where a file is."""
    Console().print(f"{name}: {path}", soft_wrap=True, highlight=False)
