"""What is released: the locked versions, the archives, and a wheel that runs on its own."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, requires
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from semsynth import __version__

ROOT = Path(__file__).parents[2]
LOCKED = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_is_the_same_in_both_places() -> None:
    assert PROJECT["version"] == __version__


def test_every_dependency_is_locked_within_its_bounds_and_from_no_place_in_particular() -> None:
    assert all(re.fullmatch(r"==[\w.]+", str(locked.specifier)) for locked in LOCKED)
    assert all(locked.url is None and not locked.extras for locked in LOCKED)
    versions: dict[str, list[str]] = {}
    for locked in LOCKED:
        versions.setdefault(locked.name, []).append(str(locked.specifier)[2:])
    texts = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, texts):
        if requirement.name != "semsynth":
            found = versions[canonicalize_name(requirement.name)]
            assert all(map(requirement.specifier.contains, found)), requirement


def test_locked_torch_may_be_any_build() -> None:
    (torch,) = (locked.specifier for locked in LOCKED if locked.name == "torch")
    version = str(torch)[2:]
    assert all(torch.contains(f"{version}{build}") for build in ("", "+cpu", "+cu126"))
    assert not [locked.name for locked in LOCKED if locked.name.startswith(("nvidia-", "cuda-"))]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("echo 'torch 2.0 PYSEC-1'; exit 1", 2, "torch 2.0 PYSEC-1"),
        ("echo 'Connection refused' >&2; exit 1", 2, "not reachable, so nothing was audited"),
        ("echo 'No known vulnerabilities found' >&2", 0, "No known vulnerabilities found"),
    ],
    ids=["vulnerable", "no network", "clean"],
)
def test_audit_tells_vulnerable_from_not_reachable(
    answer: str, status: int, said: str, tmp_path: Path
) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    words = ["make", "-s", "-f", str(ROOT / "Makefile"), "-o", ".venv/.ready", "audit"]
    done = subprocess.run(
        [*words, f"BIN={tmp_path}", "READY=.venv/.ready"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stdout
    assert ("not reachable" in done.stdout) == ("not reachable" in said)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and a source archive of what git tracks."""
    pytest.importorskip("build")
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    subprocess.run(["git", "checkout-index", "-a", f"--prefix={source}/"], cwd=ROOT, check=True)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(place), str(source)]
    subprocess.run(words, capture_output=True, check=True)
    return place


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, check=True)
    return set(listed.stdout.decode().split())


@pytest.mark.slow  # builds both archives
def test_archives_hold_the_package_and_nothing_else(release: Path) -> None:
    (wheel,) = release.glob("*.whl")
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert files == tracked("semsynth")
    (source,) = release.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = [Path(member.name) for member in archive if member.isfile()]
    inside = {str(path.relative_to(path.parts[0])) for path in members}
    about = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert {f for f in inside if not f.startswith("semsynth.egg-info/")} == about | files


def needed(name: str, extras: set[str]) -> Iterator[str]:
    """The names of what a distribution needs here, at first hand."""
    for requirement in map(Requirement, requires(name) or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in extras | {""}):
            yield str(requirement)


def link_what_is_declared(site: Path) -> None:
    """Link the dependencies of the package, and theirs, into an environment."""
    waiting, seen = list(PROJECT["dependencies"]), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        key = f"{canonicalize_name(requirement.name)}{sorted(requirement.extras)}"
        if key in seen:
            continue
        seen.add(key)
        waiting += needed(requirement.name, requirement.extras)
        installed = distribution(requirement.name)
        for top in {file.parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))))


@pytest.mark.slow  # imports torch from an environment of its own
def test_wheel_runs_with_its_declared_dependencies_alone(release: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    (site,) = (tmp_path / "env/lib").glob("python*/site-packages")
    link_what_is_declared(site)
    (wheel,) = release.glob("*.whl")
    alone = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_FIND_LINKS")}

    def run(*words: str) -> str:
        words = (str(tmp_path / "env/bin" / words[0]), *words[1:])
        done = subprocess.run(
            words, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("pip", "install", "--no-index", str(wheel))
    found = run("python", "-c", "import semsynth; print(semsynth.__file__)")
    assert found.startswith(str(tmp_path))
    assert "torch " in run("semsynth", "doctor")
    run("semsynth", "draw", "--prior", "toy_portrait", "--num", "2", "--output", "drawn")
    assert len(list((tmp_path / "drawn/train/images").glob("*.png"))) == 2
