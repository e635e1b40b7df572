"""Decoding of photos and label maps, with errors that name a remedy."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.data.pairs import Pair
from semsynth.data.pixels import DepthError, Range, map_values, to_rgb
from semsynth.files import impostor

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # Pillow runs external programs for others
TOO_LARGE, METADATA = "too large", "large metadata"
REMEDIES = {
    TOO_LARGE: "resize it",
    METADATA: "the pixels are fine, so strip it: exiftool -all= FILE",
}
FIX_PALETTE = "semsynth data check --fix-palette"


class UnreadableError(DataError):
    """A file is missing, empty, damaged or not an image; ``kind`` says which."""

    def __init__(self, path: Path, error: Exception) -> None:
        self.kind, reason = _kind_and_reason(path, error)
        remedy = REMEDIES.get(self.kind, "replace or remove it")
        super().__init__(f"{path} cannot be read ({reason}); {remedy}.")


class ColourMaskError(DataError):
    """A label map holds colours where class indices are expected."""


class UnknownColourError(DataError):
    """A label map in colour holds one that no class has."""


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; any failure becomes an UnreadableError.

    An image of more than twice ``Image.MAX_IMAGE_PIXELS``, 179 million pixels, is refused.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("not a regular file")  # reading a FIFO would wait forever
        with Image.open(path, formats=FORMATS) as opened:
            yield opened
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise UnreadableError(path, error) from error


def _kind_and_reason(path: Path, error: Exception) -> tuple[str, str]:
    if path.is_symlink() and not path.exists():
        target = path.readlink()
        return "broken symlink", f"No such file: a link to {target}, which does not exist"
    if not path.exists():
        return "missing file", "No such file"
    if isinstance(error, UnidentifiedImageError):
        kind = "not an image" if path.stat().st_size else "empty file"
        return kind, impostor(path) or "not an image of a known kind"
    if isinstance(error, Image.DecompressionBombError):
        return TOO_LARGE, f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} megapixels"
    if re.search("MAX_TEXT|text chunk", str(error)):
        return METADATA, "its text or colour profile unpacks to more than a megabyte"
    return "damaged file", " ".join(str(error).split())


def is_turned(opened: Image.Image) -> bool:
    """Whether the EXIF orientation swaps height and width."""
    return int(opened.getexif().get(ExifTags.Base.Orientation, 1)) in (5, 6, 7, 8)


def size_as_shown(opened: Image.Image) -> tuple[int, int]:
    """Height and width of an opened image, its EXIF orientation applied."""
    width, height = opened.size
    return (width, height) if is_turned(opened) else (height, width)


def read_image(
    path: Path, at_least: tuple[int, int] | None = None, value_range: Range | None = None
) -> Tensor:
    """Read a photo as RGB (3, H, W), uint8.

    Transparency is dropped and the EXIF orientation applied, as annotation tools do; colours become
    sRGB. A JPEG two, four or eight times larger than ``at_least``, height and width, is decoded at
    half, a quarter or an eighth of its size, in a fraction of the time. The ``value_range`` of
    pixels of more than eight bits becomes 0 to 255, as in ``to_rgb``.
    """
    with opened_image(path) as opened:
        if at_least is not None:
            height, width = reversed(at_least) if is_turned(opened) else at_least
            opened.draft(None, (width, height))
        try:
            rgb = np.array(to_rgb(opened, value_range))
        except DepthError as error:
            raise DataError(f"{path} {error}") from error
    return torch.from_numpy(rgb).permute(2, 0, 1)


def read_labels(pair: Pair) -> Tensor:
    """The label map of a pair, its parts merged in order: (H, W), uint8 or int32."""
    if pair.colours:
        return read_colours(pair.labels[0], pair.colours)
    if not pair.part_classes:
        return read_mask(pair.labels[0])
    parts = [read_mask(file) for file in pair.labels]
    merged = torch.zeros_like(parts[0], dtype=torch.uint8)
    for file, part, part_class in zip(pair.labels, parts, pair.part_classes, strict=True):
        if part.shape != merged.shape:
            raise DataError(
                f"{file} is {part.shape[1]}x{part.shape[0]} and {pair.labels[0]} is "
                f"{merged.shape[1]}x{merged.shape[0]}; unpack the archive again."
            )
        merged[part != 0] = part_class
    return merged


def read_colours(path: Path, colours: Sequence[tuple[tuple[int, int, int], int]]) -> Tensor:
    """Values (H, W), uint8, of the colours of a label map."""
    with opened_image(path) as opened:
        rgb = np.asarray(ImageOps.exif_transpose(opened).convert("RGB")).astype(np.int32)
    known = sorted((red << 16 | green << 8 | blue, value) for (red, green, blue), value in colours)
    packed, (keys, values) = rgb @ (1 << 16, 1 << 8, 1), np.array(known).T
    place = np.searchsorted(keys, packed).clip(max=len(keys) - 1)  # (H, W)
    if len(strange := np.argwhere(keys[place] != packed)):
        y, x = strange[0]
        raise UnknownColourError(
            f"{path} holds RGB {tuple(rgb[y, x].tolist())} at row {y}, column {x}, and "
            f"{len(strange)} pixels in all of colours that no class has; replace it by the "
            "published file."
        )
    return torch.from_numpy(values.astype(np.uint8)[place])


def read_mask(path: Path) -> Tensor:
    """Values on disk of a label or instance map (H, W): uint8, or int32 if more than eight bits.

    Grey and palette images of 1 to 32 bits contain the values directly, colour images with three
    equal channels too; others raise a ``ColourMaskError``.
    """
    with opened_image(path) as opened:
        values = map_values(opened)
    if values.ndim == 3:
        values = _one_channel(path, values)
    return torch.from_numpy(values.astype(np.uint8 if values.itemsize == 1 else np.int32))


def _one_channel(path: Path, values: np.ndarray) -> np.ndarray:
    """The common value of the colour channels (H, W); transparency is ignored."""
    if (common := common_channel(values)) is not None:
        return common
    y, x = np.argwhere((values[..., 1:3] != values[..., :1]).any(2))[0]
    raise ColourMaskError(
        f"{path} is a colour image: RGB {tuple(values[y, x, :3].tolist())} at row {y}, column {x};"
        f" expected one channel whose values are classes. Convert it: {FIX_PALETTE}."
    )


def common_channel(values: np.ndarray) -> np.ndarray | None:
    """The value (H, W) that all colours of each pixel (H, W, C) have; None if some differ."""
    colours = values[..., : 3 if values.shape[2] >= 3 else 1]
    return colours[..., 0] if (colours == colours[..., :1]).all() else None
