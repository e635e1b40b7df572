import gc
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data.labels import LabelSpace
from semsynth.studio.answers import mask_png
from semsynth.studio.uploads import MAX_BYTES, UploadError, check_upload, read_labels, read_photo
from tests.studio.visitor import black_png, chunk

SPACE = LabelSpace(("sky", "tree", "car"), ((1, 2, 3), (40, 50, 60), (200, 0, 9)))
TEXT_BOMB = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20), 9))
REFUSED: dict[str, Callable[[], bytes]] = {
    "a PNG of 100 megapixels": lambda: black_png(10_000, 10_000),
    "a PNG that would unpack to 4 gigabytes": lambda: black_png(65_000, 65_000, rows=1_500),
    "a PNG whose comment unpacks to 80 megabytes": lambda: black_png(64, 64, TEXT_BOMB),
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "a text": lambda: b"hello\n" * 99,
    "nothing": lambda: b"",
    "a GIF": lambda: saved(Image.new("RGB", (8, 8)), "GIF"),
    "a cut PNG": lambda: saved(Image.effect_noise((64, 64), 50), "PNG")[:900],
    "a cut JPEG": lambda: saved(Image.new("RGB", (64, 64)), "JPEG")[:30],
}


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def resident() -> float:
    """Megabytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(what: str) -> None:
    with pytest.raises(UploadError):
        read_photo(REFUSED[what](), (64, 64))


def test_a_file_with_too_many_bytes_is_refused() -> None:
    with pytest.raises(UploadError, match="larger than 12 MB"):
        check_upload(bytes(MAX_BYTES + 1))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_bombs_leave_the_memory_as_it_was() -> None:
    files = [make() for make in REFUSED.values()] + [black_png(64, 64, rows=3_000_000)]
    before = resident()
    for _ in range(3):
        for data in files:
            try:
                read_photo(data, (64, 64))
            except UploadError:
                continue
    assert resident() - before < 30


def test_a_photo_is_cut_to_the_middle_and_scaled() -> None:
    wide = np.zeros((50, 150, 3), np.uint8)
    wide[:, 50:100] = 255
    photo = read_photo(saved(Image.fromarray(wide), "PNG"), (16, 16))
    assert photo.shape == (3, 16, 16)
    assert photo[:, 1:-1, 1:-1].min() > 0.95


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_three_kinds_of_files_are_taken(kind: str) -> None:
    photo = read_photo(saved(Image.new("RGB", (40, 30), (255, 0, 0)), kind), (8, 8))
    torch.testing.assert_close(photo.mean((1, 2)), torch.tensor([1.0, -1, -1]), atol=0.05, rtol=0)


def test_a_label_map_is_read_from_indices_and_colours_and_resized_without_new_values() -> None:
    mask = torch.randint(3, (12, 12))
    assert torch.equal(read_labels(mask_png(mask, SPACE), (12, 12), SPACE), mask)
    colours = np.array(SPACE.palette, np.uint8)[mask.numpy()]
    assert torch.equal(read_labels(saved(Image.fromarray(colours), "PNG"), (12, 12), SPACE), mask)
    large = mask.repeat_interleave(9, 0).repeat_interleave(9, 1)
    assert torch.equal(read_labels(mask_png(large, SPACE), (12, 12), SPACE), mask)


@pytest.mark.parametrize("image", [Image.new("L", (4, 4), 3), Image.new("RGB", (4, 4), (9, 9, 9))])
def test_a_label_map_with_other_values_is_refused(image: Image.Image) -> None:
    with pytest.raises(UploadError, match="must be class indices from 0 to 2"):
        read_labels(saved(image, "PNG"), (4, 4), SPACE)
