import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin

from semsynth.data.decode import ColourMaskError, UnreadableError, read_image, read_mask


def photo(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A smooth picture whose four corners differ."""
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)


def as_pillow_reads(path: Path) -> torch.Tensor:
    pixels = np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_jpeg_equals_what_pillow_shows(tmp_path: Path, mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    file = save(photo().convert(mode), tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(file)
    assert image.dtype == torch.uint8
    assert image.shape == ((3, 48, 64) if orientation in (1, 3) else (3, 64, 48))
    assert torch.equal(image, as_pillow_reads(file))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_png_equals_what_pillow_shows(tmp_path: Path, mode: str) -> None:
    file = save(photo().convert(mode), tmp_path / "a.png")
    assert torch.equal(read_image(file), as_pillow_reads(file))


def test_colour_mask_of_sixteen_bits_holds_the_values_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    cv2.imwrite(str(file), np.array([[[3, 3, 3], [300, 300, 300]]], np.uint16))
    assert read_mask(file).tolist() == [[3, 300]]


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        (None, (480, 640)),
        ((241, 300), (480, 640)),
        ((240, 320), (240, 320)),
        ((120, 120), (120, 160)),
        ((1, 1), (60, 80)),
        ((481, 641), (480, 640)),
    ],
)
def test_jpeg_is_decoded_at_the_smallest_size_that_is_enough(
    tmp_path: Path, at_least: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    file = save(photo((640, 480)), tmp_path / "a.jpg", quality=95)
    image = read_image(file, at_least)
    assert image.shape[1:] == expected
    resized = np.array(photo((640, 480)).resize((expected[1], expected[0]), Image.Resampling.BOX))
    assert np.abs(image.permute(1, 2, 0).numpy().astype(int) - resized).mean() < 2


def test_turned_jpeg_is_never_smaller_than_asked(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = save(photo((640, 480)), tmp_path / "a.jpg", exif=exif)
    assert read_image(file, (320, 200)).shape == (3, 320, 240)
    assert read_image(file, (200, 320)).shape == (3, 640, 480)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("uint8", [0, 7, 255]), ("uint16", [0, 26003, 65535]), ("int32", [0, 26003, 70000])],
)
def test_grey_mask_holds_the_values_on_disk(tmp_path: Path, dtype: str, values: list[int]) -> None:
    suffix = ".tif" if dtype == "int32" else ".png"  # PNG ends at sixteen bits
    file = save(Image.fromarray(np.array([values], dtype=dtype)), tmp_path / f"a{suffix}")
    mask = read_mask(file)
    assert mask.tolist() == [values]
    assert mask.dtype == (torch.uint8 if dtype == "uint8" else torch.int32)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_mask_holds_indices_not_colours(tmp_path: Path, bits: int) -> None:
    values = np.array([[0, 1, 2**bits - 1]], dtype=np.uint8)
    image = Image.fromarray(values)
    image.putpalette([9, 9, 9, 200, 0, 0] + [1, 2, 3] * 254)
    assert read_mask(save(image, tmp_path / "a.png", bits=bits)).tolist() == values.tolist()


def write_png(file: Path, width: int, height: int, bits: int, rows: bytes) -> None:
    """Write a grey PNG, of two or four bits too, which Pillow does not."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + name + data + crc

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_mask_of_few_bits_is_not_stretched(tmp_path: Path, bits: int) -> None:
    values = [1, 0, 2**bits - 1, 1]
    row = int("".join(f"{v:0{bits}b}" for v in values).ljust(16, "0"), 2).to_bytes(2, "big")
    row = row[: (4 * bits + 7) // 8]

    write_png(tmp_path / "a.png", 4, 1, bits, b"\0" + row)
    assert read_mask(tmp_path / "a.png").tolist() == [values]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colour_mask_of_equal_channels_is_an_index_mask(tmp_path: Path, mode: str) -> None:
    values = Image.fromarray(np.array([[0, 3, 8]], dtype=np.uint8))
    assert read_mask(save(values.convert(mode), tmp_path / "a.png")).tolist() == [[0, 3, 8]]


def test_colour_mask_is_refused_with_the_remedy(tmp_path: Path) -> None:
    pixels = np.zeros((4, 5, 3), dtype=np.uint8)
    pixels[2, 3] = 128, 64, 128
    file = save(Image.fromarray(pixels), tmp_path / "a.png")
    with pytest.raises(
        ColourMaskError, match=r"a\.png .*\(128, 64, 128\) at row 2, column 3.*--fix-palette"
    ):
        read_mask(file)


def large_text(file: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 2_000_000, zip=True)
    photo().save(file, "PNG", pnginfo=text)


def many_pixels(file: Path) -> None:
    write_png(file, 20_000, 9_000, 1, b"")


def truncate(file: Path) -> None:
    photo((640, 480)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("at_least", [None, (60, 80)])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, r"\w*[Ii]mage.*truncated"),
        (Path.touch, r"the file is empty\)"),
        (lambda file: file.write_text("not an image"), r"not an image of a known kind\)"),
        (lambda file: file.write_text("version https://git-lfs.github.com"), r"a Git LFS pointer"),
        (lambda file: file.write_text("<!DOCTYPE html>\n<p>Login"), r"a web page.*again"),
        (large_text, r"its text or colour profile unpacks.*strip it: exiftool"),
        (many_pixels, r"more than 179 megapixels\); resize it"),
        (lambda file: file.symlink_to("gone.jpg"), r"No such file: a link to .*gone\.jpg"),
        (lambda file: None, r".*No such file"),
    ],
)
def test_damaged_file_is_named_with_the_reason(
    tmp_path: Path, damage: Callable[[Path], object], reason: str, at_least: tuple[int, int] | None
) -> None:
    damage(tmp_path / "a.jpg")
    with pytest.raises(UnreadableError, match=rf"a\.jpg cannot be read \({reason}"):
        read_image(tmp_path / "a.jpg", at_least)
    with pytest.raises(UnreadableError, match=r"a\.jpg cannot be read"):
        read_mask(tmp_path / "a.jpg")
