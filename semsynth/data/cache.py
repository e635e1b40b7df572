"""On-disk cache of resized photos and maps, so that later epochs and runs decode nothing."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.data.transforms import resize
from semsynth.files import replaced


class ResizedCache:
    """Tensors read from files, each stored once and shared by all processes.

    The key of an entry is path, size and time of its files, its size and its kind, so a changed
    file gets a new entry. Photo and label map take four bytes per pixel together: 6.6 GB for ADE20K
    at 286 x 286. The directory may be deleted at any time.

    Args:
        directory: Its directory, created with the first entry.
        size: Height and width of the stored tensors.
    """

    def __init__(self, directory: str | Path, size: tuple[int, int]) -> None:
        self.directory = Path(directory)
        self.size = (size[0], size[1])  # part of the entries' names: a list would change them

    def get(self, what: str, files: Sequence[Path], read: Callable[[], Tensor]) -> Tensor:
        """The stored tensor of some files; on a miss it is read, resized and stored.

        ``what`` distinguishes tensors from the same files: ``image``, ``mask``.
        """
        entry = self.entry(what, files)
        try:
            return torch.from_numpy(np.load(entry))
        except (OSError, ValueError, EOFError):  # missing, or truncated by a crash
            tensor = resize(read(), self.size)
        try:
            with replaced(entry) as temporary, temporary.open("wb") as opened:
                np.save(opened, tensor.contiguous().numpy())
        except OSError as error:
            raise DataError(
                f"The cache {self.directory} cannot be written to ({error}); free disk space, "
                "choose another directory, or leave out data.cache."
            ) from error
        return tensor

    def entry(self, what: str, files: Sequence[Path]) -> Path:
        """The file of a tensor, existing or not."""
        digest = hashlib.sha256(f"{what} {self.size}".encode())
        for file in files:
            status = file.stat()
            digest.update(f"\n{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
        name = digest.hexdigest()
        return self.directory / name[:2] / f"{name}.npy"
