"""Uploaded files: size limits are checked before anything is decoded."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.data.pixels import DepthError, map_values, to_rgb
from semsynth.images import from_uint8

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 12 * 2**20
MAX_PIXELS = 25_000_000
MAX_LATENTS = 8  # as many as there are images


class UploadError(ValueError):
    """A file is refused; the message says why."""


def check_upload(data: bytes) -> None:
    """Refuse files that are not PNG, JPEG or WebP, or too large; only the header is read."""
    if len(data) > MAX_BYTES:
        raise UploadError(f"The file is larger than {MAX_BYTES // 2**20} MB.")
    with opened(data):
        pass


def read_photo(data: bytes, size: tuple[int, int]) -> Tensor:
    """A photo (3, H, W) in [-1, 1], centre-cropped and resized to a height and width."""
    height, width = size
    with opened(data) as image:
        image.draft("RGB", (2 * width, 2 * height))  # large JPEGs are decoded at a reduced size
        upright = to_rgb(image)
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
    return from_uint8(torch.from_numpy(np.array(fitted)).permute(2, 0, 1))


def read_labels(data: bytes, size: tuple[int, int], space: LabelSpace) -> Tensor:
    """A label map (H, W), int64, from class indices or colours of the palette, resized."""
    with opened(data) as image:
        values = map_values(image)
        upright = ImageOps.exif_transpose(image).convert("RGB")
    mask = values.astype(np.int64) if values.ndim == 2 else classes_of(np.asarray(upright), space)
    known = (mask >= 0) & (mask < space.num_classes)
    if not known.all():
        wrong = int(mask[~known][0])
        what = f"the value {wrong}" if wrong >= 0 else "a colour that is not in the palette"
        raise UploadError(
            f"The label map has {what}; its pixels must be class indices from 0 to "
            f"{space.num_classes - 1}, or exactly the colours shown beside the classes."
        )
    rows, columns = (
        ((np.arange(n) + 0.5) * have / n).astype(int)
        for n, have in zip(size, mask.shape, strict=True)
    )
    return torch.from_numpy(mask[rows[:, None], columns])


def read_latents(data: bytes, shape: tuple[int, int]) -> Tensor:
    """Latents (K, num_ws, w_dim), float32, that the page has kept; ``shape`` is of one."""
    one = 4 * shape[0] * shape[1]
    if not data or len(data) % one or len(data) > MAX_LATENTS * one:
        raise UploadError("These are not latents of this model.")
    latents = torch.frombuffer(bytearray(data), dtype=torch.float32).view(-1, *shape)
    if not latents.isfinite().all():
        raise UploadError("The latents are NaN or infinite.")
    return latents


def classes_of(colours: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Class (H, W) of each colour (H, W, 3); -1 for unknown colours."""
    keys = np.array([65536, 256, 1])
    mask = np.full(colours.shape[:2], -1)
    for label, colour in enumerate(space.palette):
        mask[colours @ keys == np.array(colour) @ keys] = label
    return mask


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """An image before decoding; decoding errors become UploadErrors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise UploadError(
                    f"The image has {image.width} x {image.height} pixels, more than the "
                    f"{MAX_PIXELS // 1_000_000} million allowed."
                )
            yield image
    except UploadError:
        raise
    except DepthError as error:
        raise UploadError(f"The image {error.what}; save it with eight bits.") from error
    except UnidentifiedImageError as error:
        raise UploadError("The file is not a PNG, JPEG or WebP image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UploadError("The image has too many pixels.") from error
    except (OSError, SyntaxError, ValueError, RuntimeError, EOFError, MemoryError) as error:
        raise UploadError("The image is damaged and cannot be decoded.") from error
