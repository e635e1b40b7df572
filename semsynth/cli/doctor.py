"""``semsynth doctor``: what is here, what will not work, and what to do."""

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

EXTRAS = {"slurm": "submitit", "video": "av", "metrics": "segmentation_models_pytorch"}
USES = {"slurm": "array jobs", "video": "MP4 films", "metrics": "segmenters smp: and hf:"}
ENOUGH = 5e9  # bytes; a run with its checkpoints and pictures


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        state: ``good``; ``note`` if something optional is missing; ``bad`` if runs will fail.
        what: What was looked at.
        found: What was found.
        remedy: What to do; empty if nothing is to be done.
    """

    state: Literal["good", "note", "bad"]
    what: str
    found: str
    remedy: str = ""


def doctor(*, as_json: Annotated[bool, "--json"] = False) -> bool:
    """Look at versions, devices, weights, data, W&B and disk, and say what to mend.

    Each line is good, a note (something optional is missing) or bad (training will not work). The
    exit status is 1 if anything is bad, else 0.

    Args:
        as_json: Print JSON instead of a table.

    Returns:
        Whether nothing is bad.
    """
    findings = examine()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    return all(finding.state != "bad" for finding in findings)


def lines(findings: list[Finding]) -> list[str]:
    """A line for each finding, and one more where there is something to do."""
    width = max(len(finding.what) for finding in findings)
    text = []
    for finding in findings:
        text.append(f"{finding.state}  {finding.what:<{width}}  {finding.found}")
        if finding.remedy:
            text.append(f"      {'':<{width}}  -> {finding.remedy}")
    return text


def examine() -> list[Finding]:
    """Look at everything; nothing is changed and no server is asked."""
    looks = (versions, devices, extras, pretrained, data_roots, tracking, disk)
    return [finding for look in looks for finding in look()]


def versions() -> Iterator[Finding]:
    """Python, and each dependency against its bound."""
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
    """Whether a dependency is installed in a version that it may have."""
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
        yield Finding(
            "bad",
            "GPU",
            f"a driver is here, and torch {torch.__version__} cannot use it",
            "install the torch build for your CUDA version (pytorch.org), or update the driver",
        )
    elif not count:
        yield Finding(
            "note",
            "GPU",
            f"none; {os.cpu_count()} CPU cores",
            "toy experiments train on the CPU; the papers' need a GPU",
        )


def extras() -> Iterator[Finding]:
    """Optional parts."""
    for extra, module in EXTRAS.items():
        if find_spec(module):
            yield Finding("good", f"semsynth[{extra}]", "installed")
        else:
            remedy = f"pip install 'semsynth[{extra}]' for {USES[extra]}"
            yield Finding("note", f"semsynth[{extra}]", "missing", remedy)


def pretrained() -> Iterator[Finding]:
    """Pretrained weights that cannot ship."""
    from semsynth import weights

    for name, known in weights.DOWNLOADS.items():
        path = weights.locate(name)
        if path is None:
            remedy = f"semsynth weights fetch {name}, for {known.purpose}"
            yield Finding("note", f"weights {name}", "missing", remedy)
        elif path.stat().st_size != known.size:
            remedy = f"remove it, and semsynth weights fetch {name}"
            yield Finding("bad", f"weights {name}", f"{path} is cut off or another file", remedy)
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
    """Room and permission where runs and weights go."""
    from semsynth import weights

    for what, place in (("runs", Path.cwd() / "outputs"), ("cache", weights.home())):
        there = next(p for p in (place, *place.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        found = f"{place}: {free / 1e9:.0f} GB free"
        if not os.access(there, os.W_OK):
            flag = "--run_dir" if what == "runs" else "SEMSYNTH_HOME"
            yield Finding("bad", f"disk, {what}", f"{there} is read-only", f"change {flag}")
        elif free < ENOUGH:
            yield Finding("note", f"disk, {what}", found, "make room: checkpoints may not fit")
        else:
            yield Finding("good", f"disk, {what}", found)
