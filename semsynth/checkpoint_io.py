"""Checkpoint files that are whole or not there, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

PREVIOUS = "previous.ckpt"
"""The checkpoint that the newest one came after, in case that the newest is lost."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the message says which and what to do."""


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes under a temporary name in the same directory, waits for the disk, then renames.

    A checkpoint that a newer one makes superfluous is kept as ``previous.ckpt``, one at a time.
    Files are read without running what is in them.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: What to store.
            path: Its file; of a link, the link is replaced.
            storage_options: Not used.

        Raises:
            CheckpointError: The disk is full, or the directory cannot be written to.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with renamed_when_whole(path) as unfinished:
                torch.save(checkpoint, unfinished)
        except (OSError, RuntimeError) as error:  # torch's writer turns some into the latter
            raise CheckpointError(
                f"The checkpoint {path} could not be written: {reason(error)}. The one before it "
                "is whole. Make room or mend the directory, then go on with --ckpt_path last."
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, to the CPU if nothing else is said, tensors and plain values alone.

        Raises:
            CheckpointError: The file is missing, damaged, or holds other things.
        """
        try:
            loaded: dict[str, Any] = torch.load(path, map_location or "cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes of torch's reader
            raise CheckpointError(
                f"The checkpoint {path} cannot be read: {reason(error)}. Give another one, or "
                "--ckpt_path last for the newest that is whole."
            ) from error
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        """Keep what is removed as ``previous.ckpt``; the one kept so far goes."""
        path = Path(path)
        if path.is_symlink() or path.name == PREVIOUS:
            path.unlink(missing_ok=True)
        elif path.exists():
            path.replace(path.with_name(PREVIOUS))


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside a file, which takes the file's place when it is on the disk."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        yield unfinished
        sync(unfinished)
        unfinished.replace(path)
        sync(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason(error: BaseException) -> str:
    """The first line of an error's message, or of that of the error that it stands for."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, RuntimeError) and isinstance(cause, OSError):
        error = cause
    return (str(error) or type(error).__name__).strip().splitlines()[0]
