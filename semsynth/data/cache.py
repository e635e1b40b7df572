"""On-disk cache of resized photos and maps, so that later epochs and runs decode nothing."""

import hashlib
import io
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.data.transforms import resize
from semsynth.files import write_bytes


class ResizedCache:
    """Tensors read from files, each stored once and shared by all processes.

    The key of an entry is path, size and time of its files, its size and its kind, so a changed
    file gets a new entry. Entries end with a checksum; damaged ones are made again. Photo and label
    map take four bytes per pixel together: 6.6 GB for ADE20K at 286 x 286. The directory may be
    deleted at any time.

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
            return torch.from_numpy(read_entry(entry))
        except (OSError, ValueError, EOFError):  # missing or damaged
            tensor = resize(read(), self.size)
        try:
            write_entry(entry, tensor.contiguous().numpy())
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


def write_entry(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy`` with its CRC-32 behind it."""
    content = io.BytesIO()
    np.save(content, array)
    checksum = zlib.crc32(content.getbuffer()).to_bytes(4, "big")
    write_bytes(path, content.getvalue() + checksum)


def read_entry(path: Path) -> np.ndarray:
    """The array of ``write_entry``; a ValueError if its checksum differs."""
    content = bytearray(path.read_bytes())
    if zlib.crc32(memoryview(content)[:-4]).to_bytes(4, "big") != content[-4:]:
        raise ValueError(f"{path} is damaged.")
    header = io.BytesIO(content[:1024])
    np.lib.format.read_magic(header)
    shape, _, dtype = np.lib.format.read_array_header_1_0(header)
    count, start = math.prod(shape), header.tell()
    return np.frombuffer(content, dtype, count, start).reshape(shape)  # writable, not copied
