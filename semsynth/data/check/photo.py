"""What the file of a photo says about its pixels, and what a viewer may show differently."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from semsynth.data.decode import is_turned, opened_image, size_as_shown
from semsynth.data.errors import Problem
from semsynth.data.pixels import Range, deep_values, extent_of, is_deep

TRANSPARENT = "transparent photo"
ORIENTATION = "orientation of photo alone"
PAGES = "several pages"
FLAT = 0.01  # contrast below which noise decides what two photos have in common


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        size: Height and width, its EXIF orientation applied.
        turned: Whether the orientation swaps them.
        orientation: The EXIF orientation, 1 to 8.
        num_bands: Number of channels.
        extent: Lowest and highest value of pixels of more than eight bits.
        warnings: What may be unintended.
        thumbnail: Greys of a tiny copy, float16, of mean 0 and norm 1; None for a flat photo.
    """

    size: tuple[int, int]
    turned: bool
    orientation: int
    num_bands: int
    extent: Range | None
    warnings: tuple[Problem, ...]
    thumbnail: np.ndarray | None


def scan_photo(file: Path) -> Photo:
    """Decode a photo in full."""
    warnings = []
    with opened_image(file) as opened:
        pages = getattr(opened, "n_frames", 1)
        if pages > 1 and opened.format != "MPO":  # whose others are previews and depth
            text = f"{file} has {pages} pages, and only the first is read; split it."
            warnings.append(Problem(PAGES, file, text))
        values = deep_values(opened) if is_deep(opened) else None
        opened.load()
        if values is None and opened.has_transparency_data and _least_alpha(opened) < 255:
            text = (
                f"{file} has transparent pixels, whose hidden colours are read; flatten it over a "
                "colour if they are unintended."
            )
            warnings.append(Problem(TRANSPARENT, file, text))
        return Photo(
            size_as_shown(opened),
            is_turned(opened),
            orientation_of(opened),
            len(opened.getbands()),
            None if values is None else extent_of(values),
            tuple(warnings),
            thumbnail_of(opened, values),
        )


def thumbnail_of(opened: Image.Image, values: np.ndarray | None) -> np.ndarray | None:
    """A fingerprint (256,) of a decoded photo, or of its ``values`` of more than eight bits.

    That of a copy with another size, compression, contrast or brightness correlates with it.
    """
    if values is None:
        grey = opened.convert("L")
    else:
        grey = Image.fromarray(values.reshape(*values.shape[:2], -1).mean(2, dtype=np.float32))
    small = np.asarray(grey.resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
    if not small.std() > FLAT * np.abs(small).max():
        return None
    small = small - small.mean()  # not in place, as Pillow's floats are read-only
    return (small / np.linalg.norm(small)).astype(np.float16)


def orientation_of(opened: Image.Image) -> int:
    """The EXIF orientation of an image, 1 to 8."""
    return int(opened.getexif().get(ExifTags.Base.Orientation, 1))


def other_orientation(image: Path, orientation: int, label: Path) -> list[Problem]:
    """A warning if a photo has an EXIF orientation, and its label map another or none."""
    if orientation == 1:
        return []
    with opened_image(label) as opened:
        if orientation_of(opened) == orientation:
            return []
    text = (
        f"{image} is mirrored or rotated by its EXIF orientation, {orientation}, and {label} is "
        "not; check that they agree, or save the photo without an orientation."
    )
    return [Problem(ORIENTATION, image, text)]


def _least_alpha(opened: Image.Image) -> float:
    low, _ = opened.convert("RGBA").getchannel("A").getextrema()
    assert isinstance(low, (int, float))
    return low
