"""Download of pretrained weights into the user's cache, verified and resumable."""

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress

from semsynth.errors import UserError
from semsynth.files import out_of_space, replaced
from semsynth.weights.registry import PackagedWeights, WeightsFile
from semsynth.weights.store import HUB, entry, locate_official, search_directories

TIMEOUT = 10.0  # seconds without an answer, after which a server counts as out of reach
CHUNK = 1 << 20
UNUSED = ["*.h5", "*.msgpack", "*.onnx", "*.ot", "*.tflite"]  # other frameworks' weights
console = Console(stderr=True)


class FetchError(UserError, OSError):
    """A file could not be fetched or is wrong; the message says what to do."""


class UnreachableError(FetchError):
    """An address does not answer, so another source may be tried.

    Attributes:
        reason: Address and answer in one clause.
    """

    def __init__(self, address: str, reason: str, instead: str) -> None:
        self.reason = f"{address} could not be fetched ({reason})"
        super().__init__(
            f"{self.reason}. Without network, fetch the file on another machine and {instead}."
        )


def fetch(name: str) -> Path:
    """Download an official file unless it exists, and return its path.

    The file is renamed only when its checksum is right. An interrupted download resumes. Processes
    that fetch the same file wait for the first.

    Args:
        name: A key of ``DOWNLOADS``, or ``hf:OWNER/REPOSITORY``.
    """
    if name.startswith(HUB):
        return _fetch_from_hub(name)
    known = entry(name)
    present = locate_official(name)
    if present and problem_of(present, known) is None:
        return present
    with locked(known) as target:
        if target.is_file() and problem_of(target, known) is None:
            return target  # fetched by another process
        part = target.with_name(f".{target.name}.part")
        _download(known, part, name)
        part.replace(target)
    return target


def import_file(file: Path, name: str) -> Path:
    """Copy a file into the cache, if it is the right one."""
    known = entry(name)
    if not file.is_file():
        raise FetchError(f"There is no file {file}; pass the path of {known.file}.")
    if problem := problem_of(file, known):
        raise FetchError(f"{problem} It was not imported as {name}.")
    with locked(known) as target, replaced(target) as part:
        shutil.copyfile(file, part)
    return target


def problem_of(path: Path, known: WeightsFile) -> str | None:
    """What is wrong with a file, if anything, judged by size and checksum."""
    size = path.stat().st_size
    if size != known.size:
        return f"{path} has {size:,} bytes, not {known.size:,}: it is truncated or another file."
    found = sha256_of(path)
    if found != known.sha256:
        return f"{path} has the checksum {found}, the original {known.sha256}: it is another file."
    return None


def problem_of_repository(folder: Path) -> str | None:
    """Problem in the hub's cache, where large files are named by their checksum."""
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        expected = file.resolve().name
        if len(expected) == 64 and sha256_of(file) != expected:
            return f"{file} does not have the checksum {expected}; remove it and fetch it again."
    return None


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def is_first_process() -> bool:
    """Whether this process of a job downloads for all."""
    ranks = (os.environ.get(key, "0") for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return all(rank == "0" for rank in ranks)


@contextmanager
def locked(known: WeightsFile | PackagedWeights) -> Iterator[Path]:
    """Path of a file to fetch, locked to one process at a time."""
    target = search_directories()[0] / known.file
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"Another process is fetching {target.name}; waiting for it.")
        lock.acquire()
    try:
        yield target
    finally:
        lock.release()


def _download(known: WeightsFile, part: Path, name: str) -> None:
    """Download into ``part``; a wrong resumed download is retried once from scratch."""
    resumed = part.is_file() and part.stat().st_size > 0
    for _ in range(2 if resumed else 1):
        _transfer(known, part, name)
        if (problem := problem_of(part, known)) is None:
            return
        part.unlink()
    raise FetchError(f"{known.address} gave a wrong file and it was deleted. {problem}")


def _transfer(known: WeightsFile, part: Path, name: str) -> None:
    """Append the rest to ``part``, or start over if the server does not resume."""
    start = part.stat().st_size if part.is_file() else 0
    if start >= known.size:
        return
    request = urllib.request.Request(known.address, headers={"User-Agent": "semsynth"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            resumes = response.status == 206
            with part.open("ab" if resumes else "wb") as opened:
                _copy(response, opened, known, start if resumes else 0)
    except (OSError, HTTPException) as error:  # URLError, time-outs and broken connections
        if out_of_space(error):
            raise
        reason = str(getattr(error, "reason", None) or error)
        instead = f"import it here: semsynth weights import FILE --as {name}"
        raise UnreachableError(known.address, reason, instead) from error
    size = part.stat().st_size
    if size < known.size:
        raise FetchError(
            f"{known.address} broke off after {size:,} of {known.size:,} bytes. Rerun the command "
            "to resume."
        )


def _copy(source: HTTPResponse, target: BinaryIO, known: WeightsFile, start: int) -> None:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(known.file, total=known.size, completed=start)
        while start <= known.size and (chunk := source.read(CHUNK)):
            target.write(chunk)
            start += len(chunk)  # a longer file than the original is wrong
            progress.advance(task, len(chunk))


def _fetch_from_hub(name: str) -> Path:
    if present := locate_official(name):
        return present
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:  # the library takes half a minute to report a missing network
        urllib.request.urlopen(constants.ENDPOINT, timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except OSError as error:
        reason = str(getattr(error, "reason", None) or error)
        instead = "copy its cache here and set HF_HUB_CACHE"
        raise UnreachableError(constants.ENDPOINT, reason, instead) from error
    try:
        repository = name.removeprefix(HUB)
        return Path(snapshot_download(repository, etag_timeout=TIMEOUT, ignore_patterns=UNUSED))
    except (OSError, HfHubHTTPError) as error:
        raise FetchError(f"{name} could not be fetched: {error}") from error
