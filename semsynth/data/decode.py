"""Decoding of photos and label maps, with errors that name a remedy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from semsynth.data.errors import DataError
from semsynth.data.pairs import Pair

SCALED_BY_PILLOW = {"L;2": 85, "L;4": 17}  # Pillow stretches greys of 2 and 4 bits to 0..255
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # Pillow runs external programs for others
FIX_PALETTE = "semsynth data check --fix-palette"


class UnreadableError(DataError):
    """A file is missing, empty, damaged or not an image; ``kind`` says which."""

    def __init__(self, path: Path, error: Exception) -> None:
        self.kind, reason = _kind_and_reason(path, error)
        super().__init__(f"{path} cannot be read ({reason}); replace or remove it.")


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
        empty = path.stat().st_size == 0
        return ("empty file", "the file is empty") if empty else ("not an image", "not an image")
    return "damaged file", " ".join(str(error).split())


def is_turned(opened: Image.Image) -> bool:
    """Whether the EXIF orientation swaps height and width."""
    return int(opened.getexif().get(ExifTags.Base.Orientation, 1)) in (5, 6, 7, 8)


def size_as_shown(opened: Image.Image) -> tuple[int, int]:
    """Height and width of an opened image, its EXIF orientation applied."""
    width, height = opened.size
    return (width, height) if is_turned(opened) else (height, width)


def read_image(path: Path, at_least: tuple[int, int] | None = None) -> Tensor:
    """Read a photo as RGB (3, H, W), uint8.

    Transparency is dropped and the EXIF orientation applied, as annotation tools do. A JPEG two,
    four or eight times larger than ``at_least``, height and width, is decoded at half, a quarter or
    an eighth of its size, in a fraction of the time.
    """
    with opened_image(path) as opened:
        if at_least is not None:
            height, width = reversed(at_least) if is_turned(opened) else at_least
            opened.draft(None, (width, height))
        return torch.from_numpy(np.array(_to_rgb(opened))).permute(2, 0, 1)


def _to_rgb(opened: Image.Image) -> Image.Image:
    if opened.mode.startswith("I"):  # sixteen bits: Pillow would clip them to eight
        opened = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
    else:
        ImageOps.exif_transpose(opened, in_place=True)
    # convert would copy RGB images too, which takes as long as decoding
    return opened if opened.mode == "RGB" else opened.convert("RGB")


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
        rgb = np.asarray(_to_rgb(opened)).astype(np.int32)
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
        tiles = opened.tile if isinstance(opened, ImageFile.ImageFile) else []
        raw_mode = str(tiles[0].args) if tiles else ""
        values = np.array(ImageOps.exif_transpose(opened))
    if values.ndim == 3:
        values = _one_channel(path, values)
    values = values // SCALED_BY_PILLOW.get(raw_mode, 1)
    return torch.from_numpy(values.astype(np.uint8 if values.itemsize == 1 else np.int32))


def _one_channel(path: Path, values: np.ndarray) -> np.ndarray:
    """The common value of the colour channels (H, W); transparency is ignored."""
    colours = values[..., : 3 if values.shape[2] >= 3 else 1]
    differs = (colours != colours[..., :1]).any(2)
    if differs.any():
        y, x = np.argwhere(differs)[0]
        raise ColourMaskError(
            f"{path} is a colour image: RGB {tuple(colours[y, x].tolist())} at row {y}, column {x};"
            f" expected one channel whose values are classes. Convert it: {FIX_PALETTE}."
        )
    return colours[..., 0]
