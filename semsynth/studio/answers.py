"""What the server says: a header in JSON and images, in one binary frame."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class StoppedError(Exception):
    """The visitor has ended a long job."""


class Report(Protocol):
    """Tells the visitor how far a long job is, and raises StoppedError if it is to end."""

    def __call__(
        self, part: float, words: str, images: Sequence[bytes] = (), loss: float | None = None
    ) -> None:
        """Tell it.

        Args:
            part: How much is done, in 0..1.
            words: The same in words.
            images: Files of images to show meanwhile.
            loss: Loss of a training.
        """
        ...


class TabError(ValueError):
    """Something that cannot be done; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What comes of a message.

    Attributes:
        fields: Values of the header.
        images: Files of images.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    images: Sequence[bytes] = ()

    def pack(self, **more: Any) -> bytes:
        """One frame: length of the header (uint32, little-endian), header, images.

        Args:
            more: Further values of the header.
        """
        sizes = [len(image) for image in self.images]
        header = json.dumps({**self.fields, **more, "sizes": sizes}, allow_nan=False).encode()
        return b"".join([struct.pack("<I", len(header)), header, *self.images])


def unpack(frame: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Header and images of a frame of ``pack``."""
    (length,) = struct.unpack_from("<I", frame)
    header = json.loads(frame[4 : 4 + length])
    images, start = [], 4 + length
    for size in header["sizes"]:
        images.append(frame[start : start + size])
        start += size
    return header, images
