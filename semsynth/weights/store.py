"""Search for pretrained weights on disk. Nothing here uses the network."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from semsynth.errors import UserError
from semsynth.weights.registry import DOWNLOADS, PACKAGES, WeightsFile

HUB = "hf:"


class WeightsError(UserError):
    """A weight file is damaged, or does not fit its card, its prior or the model."""


class MissingWeightsError(UserError, FileNotFoundError):
    """Files of pretrained weights were not found; the message says how to get them.

    Attributes:
        names: Names to fetch them by; empty if they cannot be fetched.
    """

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


def home() -> Path:
    """The user's directory for weights and statistics: ``SEMSYNTH_HOME``, or below the cache."""
    own = os.environ.get("SEMSYNTH_HOME")
    return Path(own) if own else _cache() / "semsynth"


def search_directories() -> list[Path]:
    """Directories searched for weights, in this order; new files go to the first."""
    torch_home = Path(os.environ.get("TORCH_HOME", _cache() / "torch"))
    directories = [home() / "weights", torch_home / "hub" / "checkpoints"]
    own = os.environ.get("SEMSYNTH_WEIGHTS")
    return [Path(own), *directories] if own else directories


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))


def entry(name: str) -> WeightsFile:
    """The entry of a name in ``DOWNLOADS``; a ``KeyError`` lists the known names."""
    if name not in DOWNLOADS:
        raise KeyError(
            f"Unknown weights {name!r}; choose {', '.join([*DOWNLOADS, *PACKAGES])}, or a "
            f"repository of the Hugging Face Hub as {HUB}OWNER/REPOSITORY."
        )
    return DOWNLOADS[name]


def locate(name: str) -> Path | None:
    """Path of a file of pretrained weights, or of the folder of a repository; None if missing.

    Where the official one is missing, it is the file of the package that stands in for it.
    """
    source = source_of(name)
    return _locate_packaged(source) if source in PACKAGES else locate_official(source)


def source_of(name: str) -> str:
    """``name``, or the packaged weights that stand in for it where only these are there."""
    if name in PACKAGES or locate_official(name):
        return name
    substitute = substitute_of(name)
    return substitute if substitute and _locate_packaged(substitute) else name


def locate_official(name: str) -> Path | None:
    """Path of the official file or repository, without packages; None if missing."""
    if name.startswith(HUB):
        return _locate_in_hub_cache(name.removeprefix(HUB))
    known = entry(name)
    return _locate_file(known.file, *known.other_names)


def substitute_of(name: str) -> str | None:
    """Name of the packaged weights that stand in for official ones, if there are any."""
    return next((own for own, known in PACKAGES.items() if name in known.instead_of), None)


def _locate_packaged(name: str) -> Path | None:
    return _locate_file(PACKAGES[name].file)


def _locate_file(*names: str) -> Path | None:
    paths = (directory / name for directory in search_directories() for name in names)
    return next((path for path in paths if path.is_file()), None)


def _locate_in_hub_cache(repository: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))  # asks no server
    except HFValidationError as error:
        raise KeyError(
            f"'{HUB}{repository}' is not a repository; write {HUB}OWNER/NAME."
        ) from error
    except LocalEntryNotFoundError:
        return None


def places(name: str) -> list[Path]:
    """Where ``locate`` looks for a file."""
    if name.startswith(HUB):
        from huggingface_hub.constants import HF_HUB_CACHE

        return [Path(HF_HUB_CACHE)]
    return search_directories()


def find(name: str, needed_for: str, remedy: str) -> Path:
    """Path of a file of pretrained weights that cannot ship with the package.

    Args:
        name: A key of ``DOWNLOADS`` or ``PACKAGES``, or ``hf:OWNER/REPOSITORY``, which is a folder
            unless a package stands in for it.
        needed_for: What needs the file, for the error message.
        remedy: The option that avoids it, for the error message.
    """
    try:
        path = locate(name)
    except KeyError as error:
        raise MissingWeightsError(f"{needed_for}: {error.args[0]} Or {remedy}.") from error
    if path is None:
        known = DOWNLOADS.get(name)
        file = f"{known.file} (sha256 {known.sha256})" if known else name
        raise MissingWeightsError(
            f"{needed_for} needs {file}, which is in none of "
            f"{', '.join(map(str, places(name)))}. Fetch it with\n"
            f"  semsynth weights fetch {name}\n"
            "on a machine with network (--all-for CONFIG fetches all that an experiment needs), "
            f"or do without it: {remedy}.",
            [name],
        )
    if source_of(name) in DOWNLOADS and path.stat().st_size != DOWNLOADS[name].size:
        warnings.warn(
            f"{path} has {path.stat().st_size:,} bytes, not the {DOWNLOADS[name].size:,} of the "
            f"original; `semsynth weights verify {name}` compares checksums.",
            stacklevel=2,
        )
    return path
