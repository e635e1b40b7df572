"""Resized photos and maps on disk, so that later epochs and runs decode nothing."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semsynth.data.errors import DataError


class ResizedCache:
    """Tensors that were made from files, each stored once and shared by all processes.

    An entry is found by path, size and time of its files, the size it was made for and what it is;
    a file that changes gets a new entry. Photo and label map take four bytes a pixel together: 6.6
    GB for ADE20K at 286 x 286. The directory may be deleted at any time.

    Args:
        directory: Where entries are kept; made when the first one is stored.
        size: Height and width that the tensors have.
    """

    def __init__(self, directory: str | Path, size: tuple[int, int]) -> None:
        self.directory = Path(directory)
        self.size = (size[0], size[1])  # part of the entries' names: a list would change them

    def get(self, what: str, files: Sequence[Path], make: Callable[[], Tensor]) -> Tensor:
        """The stored tensor, or else the one that is made, which is then stored.

        Args:
            what: Tells tensors apart that are made from the same files: ``image``, ``mask``.
            files: Files that the tensor is made from.
            make: Makes the tensor (..., H, W) from the files.

        Raises:
            DataError: The directory cannot be written to.
        """
        entry = self.entry(what, files)
        try:
            return torch.from_numpy(np.load(entry))
        except (OSError, ValueError, EOFError):  # not there yet, or cut off by a crash
            tensor = make()
        if tuple(tensor.shape[-2:]) != self.size:
            raise ValueError(f"The cache holds {self.size}, got {tuple(tensor.shape)}; resize it.")
        self._store(entry, tensor)
        return tensor

    def entry(self, what: str, files: Sequence[Path]) -> Path:
        """The file that holds a tensor, whether it is there or not."""
        digest = hashlib.sha256(f"{what} {self.size}".encode())
        for file in files:
            status = file.stat()
            digest.update(f"\n{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
        name = digest.hexdigest()
        return self.directory / name[:2] / f"{name}.npy"

    def _store(self, entry: Path, tensor: Tensor) -> None:
        """Write under a name of this process, then rename: readers see all of it or nothing."""
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(suffix=".part", dir=entry.parent)
            try:
                with os.fdopen(handle, "wb") as opened:
                    np.save(opened, tensor.contiguous().numpy())
                Path(temporary).replace(entry)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DataError(
                f"The cache {self.directory} cannot be written to ({error}); make room there, name "
                "another directory, or do without data.cache."
            ) from error
