"""Pixels of an opened image: a photo as RGB of eight bits, a label map as its values."""

import io
import re
from functools import lru_cache
from typing import IO, cast

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps

from semsynth.data.errors import DataError

Range = tuple[float, float]
"""Values that become black and white."""
FULL: Range = (0, 65535)
SCALED_BY_PILLOW = {"L;2": 85, "L;4": 17}  # Pillow stretches greys of 2 and 4 bits to 0..255


class DepthError(DataError):
    """Pixels have more than eight bits, and it is unknown which values are black and white.

    Attributes:
        what: The values, for a message.
    """

    def __init__(self, extent: Range) -> None:
        low, high = extent
        whole = low >= 0 and high > 1 and high == int(high)
        top = (1 << max(8, int(high).bit_length())) - 1  # twelve bits, say
        given = f"0 {top}" if whole else f"{low:g} {high:g}"
        self.what = f"has more than eight bits, and values from {low:g} to {high:g}"
        super().__init__(
            f"{self.what}; say which become black and white: --data.range {given}, or convert the "
            f"photos: semsynth data prepare folder --root ROOT --data.range {given}"
        )


def to_rgb(opened: Image.Image, value_range: Range | None = None) -> Image.Image:
    """A photo as RGB of eight bits, upright and in sRGB; transparency is dropped.

    Args:
        opened: The photo, not decoded yet.
        value_range: Values that become black and white, if it has more than eight bits; by default
            the file must use the upper half of sixteen bits, which is ``FULL``.
    """
    profile = opened.info.get("icc_profile")
    image = _eight_bits(opened, value_range) if is_deep(opened) else opened
    ImageOps.exif_transpose(image, in_place=True)
    if profile:
        image = image if image.mode in ("L", "CMYK") else image.convert("RGB")
        if (transform := _to_srgb(profile, image.mode)) is not None:
            image = ImageCms.applyTransform(image, transform) or image
    # convert would copy RGB images too, which takes as long as decoding
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of a colour profile; None for sRGB, and for one of another mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


def is_deep(opened: Image.Image) -> bool:
    """Whether the pixels of an image, not decoded yet, have more than eight bits."""
    return opened.mode[0] in "IF" or re.search(";16[BLN]", _raw_mode(opened)) is not None


def _raw_mode(opened: Image.Image) -> str:
    tiles = opened.tile if isinstance(opened, ImageFile.ImageFile) else []
    return str(tiles[0].args) if tiles else ""


def deep_values(opened: Image.Image) -> np.ndarray:
    """Values (H, W) or (H, W, 3) of an image of more than eight bits, as stored."""
    if len(opened.getbands()) == 1:
        return np.asarray(opened)
    import cv2

    file = cast("IO[bytes]", cast("ImageFile.ImageFile", opened).fp)
    place = file.tell()
    file.seek(0)
    pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    file.seek(place)  # Pillow, which keeps only the upper eight bits of colours, goes on here
    if pixels is None:
        raise OSError("colours of sixteen bits in an unknown encoding")
    return pixels[..., 2::-1] if pixels.ndim == 3 else pixels


def extent_of(values: np.ndarray) -> Range:
    """The lowest and the highest value."""
    return float(np.nanmin(values)), float(np.nanmax(values))


def require_full_range(extent: Range) -> None:
    """Raise a ``DepthError`` if values are clearly not those of sixteen bits."""
    if not FULL[1] / 2 < extent[1] <= FULL[1]:
        raise DepthError(extent)


def _eight_bits(opened: Image.Image, value_range: Range | None) -> Image.Image:
    """A photo of more than eight bits, its range scaled to 0..255, in its orientation."""
    values = deep_values(opened)
    if value_range is None:
        require_full_range(extent_of(values))
    low, high = value_range or FULL
    scaled = np.nan_to_num(values.astype(np.float32) - low) * (255 / (high - low))
    image = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    orientation = ExifTags.Base.Orientation
    image.getexif()[orientation] = opened.getexif().get(orientation, 1)
    return image


def map_values(opened: Image.Image) -> np.ndarray:
    """Values of a label map (H, W), upright; (H, W, C) if it has several channels."""
    raw_mode = _raw_mode(opened)
    if is_deep(opened) and len(opened.getbands()) > 1:
        return deep_values(opened)
    return np.array(ImageOps.exif_transpose(opened)) // SCALED_BY_PILLOW.get(raw_mode, 1)
