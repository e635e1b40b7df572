"""What a visitor's pages refer to by key: photos, label maps and latents.

A key is the digest of the content. The page keeps the content and uploads it again whenever the
server answers that a key is missing, so that nothing here has to last.
"""

import hashlib
import threading
from collections import OrderedDict

from torch import Tensor

MAX_BYTES = 48 * 2**20  # per visitor


class MissingError(Exception):
    """The content of a key is no longer here."""

    def __init__(self, key: str) -> None:
        super().__init__("That upload has expired; choose the file again.")
        self.key = key


class Store:
    """Tensors by the digest of their content; those used last are kept."""

    def __init__(self, most: int = MAX_BYTES) -> None:
        self.most = most
        self._tensors: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, tensor: Tensor) -> str:
        """Keep a tensor, on the CPU, and return its key."""
        tensor = tensor.detach().cpu().contiguous()
        key = digest(bytes_of(tensor), str(tuple(tensor.shape)).encode())
        with self._lock:
            self._tensors[key] = tensor
            self._tensors.move_to_end(key)
            while len(self._tensors) > 1 and self._size() > self.most:
                self._tensors.popitem(last=False)
        return key

    def get(self, key: str) -> Tensor:
        """The tensor of a key.

        Raises:
            MissingError: It is not here.
        """
        with self._lock:
            if key not in self._tensors:
                raise MissingError(key)
            self._tensors.move_to_end(key)
            return self._tensors[key]

    def _size(self) -> int:
        return sum(tensor.nbytes for tensor in self._tensors.values())


def digest(*parts: bytes) -> str:
    """A key of 32 hexadecimal digits."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def bytes_of(tensor: Tensor) -> bytes:
    """The numbers of a tensor on the CPU."""
    return tensor.numpy().tobytes()
