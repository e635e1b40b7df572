import gc
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data.decode import read_image, read_mask
from semsynth.data.labels import LabelSpace
from semsynth.images import from_uint8
from semsynth.studio.answers import mask_png
from semsynth.studio.uploads import (
    MAX_BYTES,
    Crop,
    UploadError,
    check_upload,
    read_labels,
    read_photo,
)
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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_these_kinds_of_files_are_taken(kind: str) -> None:
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


SIDE = (12, 12)


def labelled(kind: str) -> Image.Image:
    """A map of the classes 0 to 2, of this kind."""
    mask = np.random.default_rng(0).integers(0, 3, SIDE).astype(np.uint8)
    match kind:
        case "palette of other colours":
            image = Image.fromarray(mask, "P")
            image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
        case "sixteen bits":
            image = Image.fromarray(mask.astype(np.uint16))
        case "three equal channels":
            image = Image.fromarray(np.repeat(mask[..., None], 3, 2))
        case "grey with transparency":
            image = Image.merge("LA", [Image.fromarray(mask), Image.new("L", SIDE, 7)])
        case _:
            image = Image.fromarray(mask)
    return image


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    "kind",
    [
        "grey",
        "palette of other colours",
        "sixteen bits",
        "three equal channels",
        "grey with transparency",
        "turned",
    ],
)
def test_a_label_map_is_read_as_by_the_command_line(kind: str, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"mask.{format.lower()}"
    exif = Image.Exif()
    exif[274] = 6 if kind == "turned" else 1
    labelled(kind).save(path, exif=exif)
    read = read_labels(path.read_bytes(), SIDE, SPACE)
    assert torch.equal(read, read_mask(path).long())


@pytest.mark.parametrize("name", ["deep.png", "deep.tiff", "turned.jpg", "grey.png"])
def test_a_photo_is_read_as_by_the_command_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    exif = Image.Exif()
    if name.startswith("deep"):
        Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(path)
    else:
        exif[274] = 6
        Image.fromarray(noise if name == "turned.jpg" else noise[..., 0]).save(path, exif=exif)
    read = read_photo(path.read_bytes(), (16, 16))
    torch.testing.assert_close(read, from_uint8(read_image(path)), atol=0.01, rtol=0)


def test_mask_and_photo_of_a_pair_are_fitted_alike() -> None:
    mask = np.zeros((30, 90), np.uint8)
    mask[:, 36:54] = 1
    mask[:15, 45:54] = 2
    photo = Image.fromarray(np.array(SPACE.palette, np.uint8)[mask])
    pair = saved(Image.fromarray(mask), "PNG"), saved(photo, "PNG")
    for crop in (None, Crop(0.3, 0.1, 0.3, 0.9)):
        labels = read_labels(pair[0], (30, 30), SPACE, crop)
        seen = (read_photo(pair[1], (30, 30), crop).permute(1, 2, 0) + 1) * 127.5
        distance = torch.cdist(seen.flatten(0, 1), torch.tensor(SPACE.palette).float())
        same = distance.argmin(1).view(30, 30) == labels
        assert same.float().mean() > 0.97  # edges are smoothed
    assert (labels == 2).any()


@pytest.mark.parametrize(
    "text", ["", "1,2", "a,b,c,d", "0,0,0,1", "-0.1,0,1,1", "0.5,0,0.6,1", "nan,0,1,1"]
)
def test_a_crop_outside_of_the_image_is_refused(text: str) -> None:
    with pytest.raises(UploadError, match="crop"):
        Crop.parse(text)


def test_pixels_without_a_label_become_unknown_or_take_the_nearest() -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[:, 4:] = 2
    gaps = mask.copy()
    gaps[1:3, :2] = gaps[1:3, 5:] = 255
    data = saved(Image.fromarray(gaps), "PNG")
    assert (read_labels(data, (4, 6), SPACE).numpy() == mask).all()
    unknown = LabelSpace(SPACE.names, SPACE.palette, unknown=1)
    assert (read_labels(data, (4, 6), unknown).numpy()[gaps == 255] == 1).all()
    with pytest.raises(UploadError, match="no label"):
        read_labels(saved(Image.new("L", (4, 4), 255), "PNG"), (4, 4), SPACE)


def test_values_of_a_data_set_become_its_classes() -> None:
    space = LabelSpace(SPACE.names, SPACE.palette, file_values=(255, 2, 0, 1))
    data = saved(Image.fromarray(np.array([[1, 2], [3, 3]], np.uint8)), "PNG")
    assert read_labels(data, (2, 2), space).tolist() == [[2, 0], [1, 1]]
