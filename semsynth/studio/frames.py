"""Images as the page shows them, and as visitors download them."""

import io
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.images import to_uint8


def jpeg(image: Tensor) -> bytes:
    """A frame of a drag: quick to make; colours at full resolution."""
    return encoded(picture(image), "JPEG", quality=93, subsampling=0)


def webp(image: Tensor) -> bytes:
    """A result, without loss."""
    return encoded(picture(image), "WEBP", lossless=True, quality=20, method=0)


def png(image: Tensor) -> bytes:
    """A file to keep."""
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
