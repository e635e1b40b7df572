"""Run directories: configuration, checkpoints, scores, images, splits and logs."""

import hashlib
import shutil
import zipfile
from pathlib import Path
from typing import Any

import yaml
from lightning_utilities.core.rank_zero import rank_zero_warn

from semsynth.errors import UserError
from semsynth.files import read_yaml

CONTENTS = (
    *("checkpoints", "scores", "images", "logs", "splits", "faults"),
    *("config.yaml", "classes.json", "log.txt"),
)
NOT_IDENTITY = ("run_dir", "overwrite", "ckpt_path", "config", "test_after_fit", "verbose")


class RunExistsError(UserError, FileExistsError):
    """A new run would overwrite the one in its directory."""


class DamagedRunError(UserError):
    """None of the checkpoints of a run can be read."""


def default_directory(config: dict[str, Any], config_file: str | None) -> Path:
    """``outputs/<experiment>/seed<seed>-<hash>``, the same for the same configuration.

    It depends on nothing else, so that all processes of a run agree and a rerun finds its
    checkpoints.
    """
    name = f"seed{config['seed_everything']}-{config_hash(config)[:8]}"
    return Path("outputs", experiment_name(config, config_file), name)


def config_hash(config: dict[str, Any]) -> str:
    """SHA-256 of a configuration without the location of the run."""
    identity = {k: v for k, v in config.items() if k not in NOT_IDENTITY}
    for key, place in (("checkpoint", "dirpath"), ("trainer", "default_root_dir")):
        if place in identity.get(key, {}):
            identity[key] = identity[key] | {place: None}
    return hashlib.sha256(yaml.safe_dump(identity, sort_keys=True).encode()).hexdigest()


def last_checkpoint(directory: Path, checkpoints: str | Path = "checkpoints") -> Path | None:
    """The newest intact checkpoint of a run, if there is any; DamagedRunError if none is intact.

    A crash of the machine can truncate a file; a process that is killed between two writes can
    leave a broken link. Damaged files that are skipped are named in a warning.

    Args:
        directory: Directory of the run.
        checkpoints: Where its checkpoints are, below ``directory`` or absolute.
    """
    found = [path for path in (directory / checkpoints).glob("*.ckpt") if path.exists()]
    found.sort(key=lambda path: (path.stat().st_mtime, path.name == "last.ckpt"), reverse=True)
    whole = next((path for path in found if is_whole(path)), None)
    damaged = found if whole is None else found[: found.index(whole)]
    listed = ", ".join(str(path) for path in damaged)
    if damaged and whole is not None:
        rank_zero_warn(f"Damaged or truncated: {listed}. Resuming from the previous one, {whole}.")
    elif damaged:
        raise DamagedRunError(
            f"All checkpoints are damaged or truncated: {listed}. Restore a copy, or start over "
            "with --overwrite true and without --ckpt_path."
        )
    return whole


def is_whole(checkpoint: Path) -> bool:
    """Whether a file is a checkpoint with correct checksums."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def experiment_name(config: dict[str, Any], config_file: str | None) -> str:
    """``clvae/ade20k`` for ``experiments/clvae/ade20k.yaml``; the method's name without a file."""
    if config_file is None:
        return str(config["model"]["class_path"]).rsplit(".", 1)[-1].lower()
    parts = Path(config_file).with_suffix("").parts
    if "experiments" in parts:
        parts = parts[len(parts) - parts[::-1].index("experiments") :]
        return "/".join(parts)
    return parts[-1]


def of_checkpoint(ckpt_path: str) -> Path:
    """The run directory of a checkpoint."""
    return Path(ckpt_path).absolute().parent.parent


def names_its_place(config: Path) -> bool:
    """Whether a file is the configuration of a run that says where the run was kept."""
    try:
        recorded = read_yaml(config)
        places = recorded["checkpoint"]["dirpath"], recorded["trainer"]["default_root_dir"]
        where = Path(recorded["run_dir"])
    except (UserError, TypeError, KeyError):
        return False  # the parser says what is wrong with it
    return places == (str(where / "checkpoints"), str(where))


def prepare(directory: Path, overwrite: bool, checkpoints: Path | None = None) -> None:
    """Make sure that a new run may use a directory, and empty it.

    Args:
        directory: Directory of the run.
        overwrite: Replace the run that it holds.
        checkpoints: Where the checkpoints go, if not below ``directory``; they are never removed.

    Raises:
        RunExistsError: There are checkpoints, and nobody said that they may be replaced.
    """
    for place in (directory / "checkpoints", checkpoints or directory / "checkpoints"):
        if any(place.glob("*.ckpt")) and not overwrite:
            raise RunExistsError(
                f"{place} already holds the checkpoints of a run. Resume it with --ckpt_path last, "
                "replace it with --overwrite true, or choose another --run_dir."
            )
    for name in CONTENTS:
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
