"""Atomic checkpoint files: complete or absent."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from semsynth.errors import UserError
from semsynth.files import out_of_space, replaced

PREVIOUS = "previous.ckpt"
"""The checkpoint before the newest, in case the newest is lost."""


class CheckpointFileError(UserError):
    """A checkpoint could not be written or read; the message says which and what to do."""


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes under a temporary name in the same directory, waits for the disk, then renames.

    The last superseded checkpoint is kept as ``previous.ckpt``. Reading executes nothing.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; a link is replaced."""
        path = Path(path)
        try:
            with replaced(path, durable=True) as unfinished, unfinished.open("wb") as opened:
                torch.save(checkpoint, opened)
        except OSError as error:
            fault = out_of_space(error) or error
            kept = any(file.exists() for file in path.parent.glob("*.ckpt"))
            remedy = (
                "The one before it is intact. Free disk space or fix the directory, then resume "
                "with --ckpt_path last."
                if kept
                else "There is none before it. Free disk space or fix the directory, then rerun."
            )
            raise CheckpointFileError(
                f"The checkpoint {path} could not be written: {fault.strerror or fault}. {remedy}"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values only, by default to the CPU."""
        try:
            loaded: dict[str, Any] = torch.load(path, map_location or "cpu", weights_only=True)
        except Exception as error:  # torch's reader may raise anything on a damaged file
            raise CheckpointFileError(
                f"The checkpoint {path} cannot be read: {first_line(error)}. Give another one, or "
                "--ckpt_path last for the newest that is intact."
            ) from error
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        """Rename the removed file to ``previous.ckpt``, replacing the one before."""
        path = Path(path)
        if path.is_symlink() or path.name == PREVIOUS:
            path.unlink(missing_ok=True)
        elif path.exists():
            path.replace(path.with_name(PREVIOUS))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its name if it has none."""
    return (str(error) or type(error).__name__).strip().splitlines()[0]
