"""Trained methods from files of the user."""

from pathlib import Path

import torch

from semsynth.errors import UserError
from semsynth.methods.user_controllable_lt import UserControllableLT

BY_NAME = ("last", "best", "hpc")  # checkpoints that Lightning resolves


def load_editor(file: str) -> UserControllableLT:
    """A latent transformer in eval mode, from a checkpoint of a run or weights by name."""
    if not file.endswith(".ckpt"):
        return UserControllableLT.from_file(file)
    check_checkpoint(file, UserControllableLT.__name__)
    method = UserControllableLT.load_from_checkpoint(file, map_location="cpu", weights_only=True)
    return method.eval()


def check_file(path: str) -> None:
    """Refuse a missing checkpoint."""
    if path not in BY_NAME and not Path(path).is_file():
        raise UserError(f"There is no checkpoint {path}; name one with --ckpt_path FILE.")


def check_checkpoint(path: str | None, method: str) -> None:
    """Refuse a file that is not a checkpoint, or is one of another method."""
    if path is None or path in BY_NAME:
        return
    check_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what a damaged archive raises is not documented
        raise UserError(
            f"{path} cannot be read as a checkpoint: it is truncated, corrupt or contains more "
            "than tensors and plain values. Try another of the run, such as --ckpt_path last."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(
            f"{path} is not a run checkpoint: it has no state_dict. Convert checkpoints of other "
            "code with semsynth import."
        )
    if bad := [key for key, value in content["state_dict"].items() if not is_finite(key, value)]:
        raise UserError(
            f"{path} has NaN or infinite weights ({bad[0]}{', ...' if len(bad) > 1 else ''}). Try "
            "another of the run, and lower the learning rate."
        )
    found = str((content.get("hyper_parameters") or {}).get("_class_path", method))
    if found.rsplit(".", 1)[-1] != method:
        raise UserError(
            f"{path} is a checkpoint of {found.rsplit('.', 1)[-1]}, but the configuration names "
            f"{method}. Use the configuration of its run, RUN/config.yaml, or another checkpoint."
        )


def is_finite(key: str, value: object) -> bool:
    """Whether a weight is finite; the unit of motion is unknown, NaN, before training."""
    if not isinstance(value, torch.Tensor) or key.endswith("motion_scale"):
        return True
    return bool(value.isfinite().all())
