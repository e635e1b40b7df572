"""Answers of the server: a JSON header and images in one binary frame; and downloads."""

import io
import json
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.images import to_uint8


class StoppedError(Exception):
    """The visitor stopped a long job."""


class Reporter(Protocol):
    """Reports progress of a long job, and raises StoppedError if the visitor stopped it."""

    def __call__(
        self, part: float, words: str, images: Sequence[bytes] = (), loss: float | None = None
    ) -> None:
        """Report progress.

        Args:
            part: Fraction done, in 0..1.
            words: The same in words.
            images: Image files to show meanwhile.
            loss: Loss of a training.
        """
        ...


def silent(
    part: float, words: str, images: Sequence[bytes] = (), loss: float | None = None
) -> None:
    """Report nothing: what is short has no progress."""


class TabError(ValueError):
    """A request cannot be fulfilled; the message says why."""


@dataclass(frozen=True)
class Answer:
    """The answer to a message.

    Attributes:
        fields: Values of the header.
        images: Image files, and after them latents as float32 if the header says ``at``.
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


def jpeg(image: Tensor) -> bytes:
    """A JPEG frame of a drag: fast to encode, without chroma subsampling."""
    return encoded(picture(image), "JPEG", quality=93, subsampling=0)


def webp(image: Tensor) -> bytes:
    """A lossless result."""
    return encoded(picture(image), "WEBP", lossless=True, quality=20, method=0)


def png(image: Tensor) -> bytes:
    """A downloaded file."""
    return encoded(picture(image), "PNG")


def mask_png(mask: Tensor, space: LabelSpace) -> bytes:
    """A label map (H, W) as class indices, with the colours of the classes as palette."""
    image = Image.fromarray(mask.cpu().numpy().astype(np.uint8), "P")
    image.putpalette([channel for colour in space.palette for channel in colour])
    return encoded(image, "PNG")


def picture(image: Tensor) -> Image.Image:
    """An image (3, H, W) in [-1, 1]."""
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).contiguous().cpu().numpy())


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file of this kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exported(name: str, images: Sequence[Tensor], mask: Tensor, space: LabelSpace) -> bytes:
    """``mask.png``, ``N.png``, one of the images, or ``all.zip``."""
    if name == "mask.png":
        return mask_png(mask, space)
    if name != "all.zip":
        number = int(name.removesuffix(".png"))
        if number >= len(images):
            raise TabError(f"There is no image {number}.")
        return png(images[number])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("mask.png", mask_png(mask, space))
        for i, image in enumerate(images):
            opened.writestr(f"image_{i}.png", png(image))
    return archive.getvalue()
