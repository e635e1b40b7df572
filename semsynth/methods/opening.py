"""Trained methods from the files that a user names."""

from pathlib import Path

import torch

from semsynth.errors import UserError
from semsynth.methods.user_controllable_lt import UserControllableLT

BY_NAME = ("last", "best", "hpc")  # checkpoints that Lightning finds by itself


def load_editor(file: str) -> UserControllableLT:
    """A latent transformer in eval mode.

    Args:
        file: A checkpoint of ``semsynth fit``; or name or path of weights with a card, or of the
            prior beside which they ship.

    Raises:
        UserError: The file is damaged, or of another method.
        MissingWeightsError: There is no such file.
    """
    if not file.endswith(".ckpt"):
        return UserControllableLT.from_file(file)
    check_checkpoint(file, UserControllableLT.__name__)
    method = UserControllableLT.load_from_checkpoint(file, map_location="cpu", weights_only=True)
    return method.eval()


def check_file(path: str) -> None:
    """Refuse a checkpoint that is not there."""
    if path not in BY_NAME and not Path(path).is_file():
        raise UserError(f"There is no checkpoint {path}; name one by --ckpt_path FILE.")


def check_checkpoint(path: str | None, method: str) -> None:
    """Refuse a file that is no checkpoint, or one of another method.

    Args:
        path: The file, or a word that Lightning knows.
        method: Name of the method that is to take it.
    """
    if path is None or path in BY_NAME:
        return
    check_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what a damaged archive raises is not documented
        raise UserError(
            f"{path} cannot be read as a checkpoint: it is cut off, damaged, or holds more than "
            "tensors and plain values. Give another of the run, such as --ckpt_path last."
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise UserError(
            f"{path} is no checkpoint of a run: it holds no state_dict. Checkpoints of other codes "
            "are converted by semsynth import."
        )
    found = str((content.get("hyper_parameters") or {}).get("_class_path", method))
    if found.rsplit(".", 1)[-1] != method:
        raise UserError(
            f"{path} is a checkpoint of {found.rsplit('.', 1)[-1]}, and the configuration names "
            f"{method}. Give the configuration of its run, RUN/config.yaml, or another checkpoint."
        )
