import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from semsynth.data import DataError, Folder
from semsynth.data.check.splits import check_data
from semsynth.data.convert import convert
from semsynth.data.decode import read_image
from semsynth.studio.uploads import UploadError, read_photo
from tests.data.trees import only_batch, write_map, write_pair

TWELVE = np.array([[0, 16, 2048, 4095]], np.uint16)
AS_BYTES = [0, 1, 128, 255]  # of TWELVE: times 255 / 4095


def write(file: Path, values: np.ndarray) -> Path:
    """Write grey values, or colours (H, W, 3), of any depth."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if values.ndim == 3:
        cv2.imwrite(str(file), values[..., ::-1])
    else:
        Image.fromarray(values).save(file)
    return file


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_of_the_range_become_bytes(tmp_path: Path, suffix: str, channels: int) -> None:
    colours = np.stack([TWELVE, TWELVE[:, ::-1], TWELVE], 2)
    file = write(tmp_path / f"a.{suffix}", TWELVE if channels == 1 else colours)
    image = read_image(file, value_range=(0, 4095))
    assert image[0].tolist() == image[2].tolist() == [AS_BYTES]
    assert image[1].tolist() == [AS_BYTES if channels == 1 else AS_BYTES[::-1]]
    assert read_image(file, value_range=(16, 2048))[0].tolist() == [[0, 0, 255, 255]]


def test_full_range_of_sixteen_bits_needs_no_other_and_decimals_do(tmp_path: Path) -> None:
    full = write(tmp_path / "a.png", np.array([[0, 257, 65535]], np.uint16))
    assert read_image(full)[0].tolist() == [[0, 1, 255]]
    decimals = write(tmp_path / "a.tif", np.array([[-1, 0, 1]], np.float32))
    with pytest.raises(DataError, match=r"a\.tif has more.* -1 to 1; .*range -1 1"):
        read_image(decimals)
    assert read_image(decimals, value_range=(-1, 1))[0].tolist() == [[0, 128, 255]]


def test_turned_photo_of_sixteen_bits_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(TWELVE).save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png", value_range=(0, 4095))[0].tolist() == [
        [value] for value in AS_BYTES
    ]


def test_colours_of_another_profile_become_those_of_srgb(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    photo = Image.new("RGB", (2, 1), (200, 60, 30))
    for profile, colour in ((srgb, [200, 60, 30]), (swapped, [30, 60, 200]), (lab, [200, 60, 30])):
        photo.save(tmp_path / "a.png", icc_profile=profile)
        found = read_image(tmp_path / "a.png")[:, 0, 0]
        torch.testing.assert_close(found, torch.tensor(colour, dtype=torch.uint8), atol=1, rtol=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A training split of two photos of twelve bits, and a validation split of eight."""
    for i in range(2):
        write(tmp_path / f"own/train/images/{i}.tiff", TWELVE - np.uint16(i) * (TWELVE > 0))
        write_map(tmp_path / f"own/train/labels/{i}.png", [[0, 0, 1, 1]])
    write_pair(tmp_path / "own/val", 0, [[0, 0, 1, 1]])
    return tmp_path / "own"


def test_range_of_a_data_set_is_measured_asked_for_and_used(root: Path, tmp_path: Path) -> None:
    (problem,) = check_data(Folder(str(root), 2)).problems
    assert problem.kind == "unknown range of values"
    assert "values from 0 to 4095; " in problem.message
    assert "--data.range 0 4095, or" in problem.message
    with pytest.raises(DataError, match=r"train/images has more than eight bits"):
        Folder(str(root), 2).setup("fit")
    data = Folder(str(root), 2, range=(0, 4095), image_size=(1, 4), flip=False, num_workers=0)
    report = check_data(data)
    assert report.problems == []
    assert "2 of 2 photos have more than eight bits, values 0 to 4095" in " ".join(report.notes)
    batch = only_batch(data, "train")
    image = batch["image"][batch["index"] == 0][0]
    assert torch.equal(image[0], torch.tensor([AS_BYTES]) / 127.5 - 1)
    convert(data, tmp_path / "new", {})
    converted = np.asarray(Image.open(tmp_path / "new/train/images/0.png"))
    assert converted[..., 0].tolist() == [AS_BYTES]


def test_range_is_written_lower_value_first(root: Path) -> None:
    with pytest.raises(DataError, match=r"range must be \[BLACK, WHITE\]"):
        Folder(str(root), 2, range=(4095, 0))


def test_what_a_viewer_shows_differently_is_a_warning(tmp_path: Path) -> None:
    for name in "abc":
        write_pair(tmp_path / "train", name, [[0, 1], [1, 1]])
    images = tmp_path / "train/images"
    Image.new("RGBA", (2, 2), (9, 9, 9, 0)).save(images / "a.png")
    exif = Image.Exif()
    exif[274] = 3  # rotated by 180 degrees: the shape tells nothing
    Image.new("RGB", (2, 2), 9).save(images / "b.png", exif=exif)
    pages = [Image.new("L", (2, 2), value) for value in (5, 9)]
    (images / "c.png").unlink()
    pages[0].save(images / "c.tif", save_all=True, append_images=pages[1:])
    report = check_data(Folder(str(tmp_path), 2))
    assert report.problems == []
    assert [(w.kind, w.file.name) for w in report.warnings] == [
        ("transparent photo", "a.png"),
        ("orientation of photo alone", "b.png"),
        ("several pages", "c.tif"),
    ]
    Image.new("L", (2, 2), 0).save(tmp_path / "train/labels/b.png", exif=exif)
    assert len(check_data(Folder(str(tmp_path), 2)).warnings) == 2


def test_studio_reads_a_deep_photo_as_training_does() -> None:
    def upload(values: np.ndarray) -> bytes:
        content = io.BytesIO()
        Image.fromarray(values).save(content, "PNG")
        return content.getvalue()

    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(64, 0)
    shown = read_photo(upload(ramp), (64, 64))
    assert torch.allclose(shown[0, 0], torch.linspace(-1, 1, 64), atol=0.01)
    with pytest.raises(UploadError, match=r"values from 0 to 4095; save it with eight bits"):
        read_photo(upload(TWELVE), (1, 4))
