"""``semsynth doctor``: check the installation and suggest fixes."""

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {  # a module of each optional part, and what it is for
    "slurm": ("submitit", "array jobs"),
    "video": ("av", "MP4 films"),
    "coco": ("pycocotools", "polygons filled as COCO's tools do"),
    "metrics": ("segmentation_models_pytorch", "segmenters smp: and hf:"),
}
ENOUGH = 5e9  # bytes; a run with its checkpoints and pictures


class Finding(NamedTuple):
    """Result of one check: ``bad`` if runs will fail, ``note`` if something optional is missing."""

    state: Literal["good", "note", "bad"]
    what: str
    found: str
    remedy: str = ""


def doctor(*, as_json: Annotated[bool, "--json"] = False) -> bool:
    """Check versions, devices, weights, data, W&B and disk, and suggest fixes.

    Each line is good, a note (something optional is missing) or bad (training will not work). The
    exit status is 1 if anything is bad, else 0.

    Args:
        as_json: Print JSON instead of a table.
    """
    findings = examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for state, what, found, remedy in findings:
            print(f"{state}  {what:<{width}}  {found}")
            if remedy:
                print(f"      -> {remedy}")
    return all(finding.state != "bad" for finding in findings)


def examine() -> list[Finding]:
    """Run all checks; nothing is changed and no server is asked."""
    checks = (versions, devices, extras, pretrained, data_roots, tracking, disk)
    return [finding for check in checks for finding in check()]


def versions() -> Iterator[Finding]:
    """Versions of Python and each dependency."""
    from packaging.requirements import Requirement

    yield Finding("good", "Python", f"{platform.python_version()} ({sys.executable})")
    try:
        texts = requires("semsynth") or []
    except PackageNotFoundError:
        yield Finding("note", "semsynth", "run from its source", "pip install -e .")
        return
    for text in texts:
        requirement = Requirement(text)
        if requirement.marker is None:
            yield dependency(requirement)


def dependency(requirement: "Requirement") -> Finding:
    """Whether a dependency is installed within its bounds."""
    name, remedy = requirement.name, f"pip install '{requirement}'"
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Finding("bad", name, "missing", remedy)
    if not requirement.specifier.contains(installed, prereleases=True):
        return Finding("bad", name, f"{installed}, not {requirement.specifier}", remedy)
    return Finding("good", name, installed)


def devices() -> Iterator[Finding]:
    """GPUs, and whether torch can use them."""
    import torch

    count = torch.cuda.device_count()
    for i in range(count):
        properties = torch.cuda.get_device_properties(i)
        memory = f"{properties.total_memory / 1e9:.0f} GB"
        yield Finding("good", f"cuda:{i}", f"{properties.name}, {memory}")
    if not count and torch.backends.mps.is_available():
        yield Finding("good", "mps", "Apple GPU")
    elif not count and shutil.which("nvidia-smi"):
        found = f"torch {torch.__version__} cannot use the installed driver"
        remedy = "install the torch build for your CUDA version (pytorch.org), or update the driver"
        yield Finding("bad", "GPU", found, remedy)
    elif not count:
        remedy = "toy experiments train on the CPU; the papers' need a GPU"
        yield Finding("note", "GPU", f"none; {os.cpu_count()} CPU cores", remedy)


def extras() -> Iterator[Finding]:
    """Optional parts."""
    for extra, (module, use) in EXTRAS.items():
        if find_spec(module):
            yield Finding("good", f"semsynth[{extra}]", "installed")
        else:
            remedy = f"pip install 'semsynth[{extra}]' for {use}"
            yield Finding("note", f"semsynth[{extra}]", "missing", remedy)


def pretrained() -> Iterator[Finding]:
    """Pretrained weights that cannot ship."""
    from semsynth import weights

    for name, known in weights.DOWNLOADS.items():
        path = weights.locate(name)
        official = weights.source_of(name) == name
        if path is None:
            remedy = f"semsynth weights fetch {name}, for {known.purpose}"
            yield Finding("note", f"weights {name}", "missing", remedy)
        elif official and path.stat().st_size != known.size:
            remedy = f"remove it, and semsynth weights fetch {name}"
            yield Finding("bad", f"weights {name}", f"{path} is truncated or another file", remedy)
        else:
            yield Finding("good", f"weights {name}", str(path))


def data_roots() -> Iterator[Finding]:
    """Data below ``SEMSYNTH_DATA``, where the experiments look for them."""
    root = Path(os.environ.get("SEMSYNTH_DATA", "data"))
    found = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if found:
        yield Finding("good", "data", f"{root}: {', '.join(found)}")
    else:
        remedy = "unpack data there, set SEMSYNTH_DATA, or give --data.root DIR; toys need none"
        yield Finding("note", "data", f"nothing in {root}", remedy)


def tracking() -> Iterator[Finding]:
    """How runs are logged to W&B."""
    mode = os.environ.get("WANDB_MODE")
    netrc = Path.home() / ".netrc"
    key = "WANDB_API_KEY" in os.environ or (
        netrc.is_file() and re.search(r"machine\s+\S*wandb", netrc.read_text()) is not None
    )
    if mode is None and not key:
        yield Finding("note", "W&B", "offline: no key", "wandb login, or wandb sync RUN_DIR later")
    else:
        yield Finding("good", "W&B", mode or "online")


def disk() -> Iterator[Finding]:
    """Free space and permissions where runs and weights go."""
    from semsynth import weights

    for what, place in (("runs", Path.cwd() / "outputs"), ("cache", weights.home())):
        there = next(p for p in (place, *place.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        found = f"{place}: {free / 1e9:.0f} GB free"
        if not os.access(there, os.W_OK):
            flag = "--run_dir" if what == "runs" else "SEMSYNTH_HOME"
            yield Finding("bad", f"disk, {what}", f"{there} is read-only", f"change {flag}")
        elif free < ENOUGH:
            yield Finding("note", f"disk, {what}", found, "free space: checkpoints may not fit")
        else:
            yield Finding("good", f"disk, {what}", found)
