"""Uploaded files: size limits are checked before anything is decoded."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from semsynth.data.decode import FORMATS, common_channel, size_as_shown
from semsynth.data.labels import LabelSpace
from semsynth.data.pixels import DepthError, map_values, to_rgb
from semsynth.images import from_uint8

MAX_BYTES = 12 * 2**20
MAX_PIXELS = 25_000_000
MAX_LATENTS = 8  # as many as there are images


KINDS = "PNG, JPEG, WebP, BMP or TIFF"


class UploadError(ValueError):
    """A file is refused; the message says why."""


class Crop(NamedTuple):
    """The part of an upright image to use, in fractions of its width and height."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """A crop from ``left,top,width,height``.

        Raises:
            UploadError: It is not inside the image.
        """
        try:
            crop = cls(*map(float, text.split(",")))
        except (TypeError, ValueError) as error:
            raise UploadError("A crop is four numbers: left,top,width,height.") from error
        slack = 1e-3  # of rounding
        inside = crop.left + crop.width <= 1 + slack and crop.top + crop.height <= 1 + slack
        if not (min(crop[:2]) >= 0 and min(crop[2:]) > 0 and inside):
            raise UploadError("The crop is outside of the image; its numbers are fractions.")
        return crop


def centred(shown: tuple[int, int], size: tuple[int, int]) -> Crop:
    """The largest crop in the middle of an image (height, width) with the proportions of a size."""
    (H, W), (height, width) = shown, size
    across, down = min(1.0, H * width / (W * height)), min(1.0, W * height / (H * width))
    return Crop((1 - across) / 2, (1 - down) / 2, across, down)


def check_upload(data: bytes) -> None:
    """Refuse files that are not images of a known kind, or too large; only the header is read."""
    if len(data) > MAX_BYTES:
        raise UploadError(f"The file is larger than {MAX_BYTES // 2**20} MB.")
    with opened(data):
        pass


def read_photo(data: bytes, size: tuple[int, int], crop: Crop | None = None) -> Tensor:
    """A photo (3, H, W) in [-1, 1], cropped and resized to a height and width.

    ``crop`` is the largest one in the middle if not given.
    """
    height, width = size
    with opened(data) as image:
        part = crop or centred(size_as_shown(image), size)
        least = round(2 * max(width / part.width, height / part.height))
        image.draft(None, (least, least))  # large JPEGs are decoded at a reduced size
        upright = to_rgb(image)
    W, H = upright.size
    left, top = part.left * W, part.top * H
    box = left, top, min(W, left + part.width * W), min(H, top + part.height * H)
    fitted = upright.resize((width, height), Image.Resampling.LANCZOS, box)
    return from_uint8(torch.from_numpy(np.array(fitted)).permute(2, 0, 1))


def read_labels(
    data: bytes, size: tuple[int, int], space: LabelSpace, crop: Crop | None = None
) -> Tensor:
    """A label map (H, W), int64, from values or from colours of the palette, fitted as a photo.

    Pixels without a label become unknown, or else take the nearest one.
    """
    with opened(data) as image:
        values = map_values(image)
    mask = without_gaps(labels_in(values, space), space)
    part = crop or centred(mask.shape, size)
    spans = ((part.top, part.height, size[0]), (part.left, part.width, size[1]))
    rows, columns = (
        ((first + (np.arange(n) + 0.5) / n * share) * have).astype(int).clip(0, have - 1)
        for (first, share, n), have in zip(spans, mask.shape, strict=True)
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


def labels_in(values: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Classes (H, W) of values on disk, or else of colours; ``space.ignore_index`` is no label."""
    flat = values if values.ndim == 2 else common_channel(values)
    mask = np.full(values.shape[:2], -1) if flat is None else classes_of_values(flat, space)
    if (mask >= 0).all():
        return mask
    if values.ndim == 3 and values.shape[2] >= 3 and values.dtype == np.uint8:
        by_colour = classes_of(values[..., :3], space)
        if (by_colour >= 0).all():
            return by_colour
    wrong = "a colour that is not in the palette"
    if flat is not None:
        wrong = f"the value {float(flat[mask < 0][0]):g}"
    known = f"class indices from 0 to {space.num_classes - 1}"
    if space.file_values is not None:
        known = "values of its data set"
    raise UploadError(
        f"The label map has {wrong}; its pixels must be {known}, or exactly the colours shown "
        "beside the classes."
    )


def classes_of_values(values: np.ndarray, space: LabelSpace) -> np.ndarray:
    """Class of each value (H, W) on disk; -1 for invalid values."""
    table = space.lookup()
    inside = (values >= 0) & (values < len(table)) & (values == np.floor(values))
    return np.where(inside, table[np.where(inside, values, 0).astype(int)], -1)


def without_gaps(mask: np.ndarray, space: LabelSpace) -> np.ndarray:
    """A label map (H, W) whose pixels without a label are unknown, or take the nearest one."""
    gaps = mask == space.ignore_index
    if not gaps.any():
        return mask
    if gaps.all():
        raise UploadError("The label map has no label.")
    if space.unknown is not None:
        return np.where(gaps, space.unknown, mask)
    nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return mask[tuple(nearest)]


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
        raise UploadError(f"The file is not a {KINDS} image.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UploadError("The image has too many pixels.") from error
    except (OSError, SyntaxError, ValueError, RuntimeError, EOFError, MemoryError) as error:
        raise UploadError("The image is damaged and cannot be decoded.") from error
