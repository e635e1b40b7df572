from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from semsynth.data import CCP, DataError, Folder
from semsynth.data.ccp import GROUPS, centred
from semsynth.data.check.splits import check_data
from semsynth.data.labels import official_space
from semsynth.data.prepare import prepare
from tests.data.trees import only_batch, write_photo

TAGS = sorted(tag for tags in GROUPS.values() for tag in tags if tag != "null")
NUMBERS = ("0001", "0804", "0805", "0854", "0855", "1004")


def write_annotation(root: Path, number: str, values: np.ndarray) -> None:
    folder = root / "annotations/pixel-level"
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / f"{number}.mat", {"groundtruth": values.astype(np.uint8)})


def tag(name: str) -> int:
    return ["null", *TAGS].index(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The published layout: jeans and a coat at the left, three columns too many in all."""
    values = np.zeros((6, 7))
    values[:3, 2], values[3:, 2] = tag("coat"), tag("jeans")
    for number in NUMBERS:
        write_photo(tmp_path / f"photos/{number}.jpg", (7, 6), int(number))
        write_annotation(tmp_path, number, values)
    tags = np.array(["null", *TAGS], dtype=object)[None]
    savemat(tmp_path / "label_list.mat", {"label_list": tags})
    return tmp_path


def ccp(root: Path) -> CCP:
    return CCP(str(root), (6, 4), flip=False, num_workers=0, batch_size=2)


def test_tags_are_grouped_to_14_classes() -> None:
    assert len(TAGS) == 58
    assert len(set(TAGS)) == 58
    assert tuple(GROUPS) == official_space("ccp").names


def test_box_is_the_largest_of_two_by_three_around_the_centre() -> None:
    assert centred(825, 550) == (slice(0, 825), slice(0, 550))
    assert centred(6, 7) == (slice(0, 6), slice(1, 5))
    assert centred(900, 550) == (slice(37, 862), slice(0, 550))


def test_prepared_label_maps_hold_the_classes_of_the_cropped_tags(root: Path) -> None:
    said: list[str] = []
    assert not prepare(ccp(root), root / "prepared", say=said.append).problems
    assert said[0].startswith("converted 6 samples")
    data = ccp(root)
    assert [data.names(split) for split in ("train", "val", "test")] == [
        ["0001", "0804"],
        ["0805", "0854"],
        ["0855", "1004"],
    ]
    batch = only_batch(data)
    assert batch["mask"][0].tolist() == [[0, 4, 0, 0]] * 3 + [[0, 7, 0, 0]] * 3
    with Image.open(root / "photos/0805.jpg") as photo:
        expected = np.asarray(photo)[:, 1:5].astype(int)
    decoded = batch["image"][0].add(1).mul(127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(decoded - expected).max() <= 8  # JPEG, twice


def test_prepared_folders_are_read_alone_and_as_a_folder(root: Path) -> None:
    prepare(ccp(root), root / "prepared")
    with Image.open(root / "prepared/val/labels/0805.png") as opened:
        assert opened.convert("RGB").getpixel((1, 0)) == (0x43, 0x63, 0xD8)
    moved = (root / "prepared").rename(root.parent / f"{root.name}-moved")
    data, folder = ccp(moved), Folder(str(moved), 14, image_size=(6, 4), num_workers=0)
    assert only_batch(data)["mask"].equal(only_batch(folder)["mask"])
    assert folder.label_space.names == data.label_space.names
    assert not check_data(data).problems


def test_published_annotations_are_to_be_converted_first(root: Path) -> None:
    with pytest.raises(DataError, match=r"convert them by `semsynth data prepare ccp --root"):
        ccp(root).setup("validate")


def test_dry_run_converts_nothing(root: Path) -> None:
    said: list[str] = []
    prepare(ccp(root), root / "prepared", dry_run=True, say=said.append)
    assert said == [f"would convert 6 samples of {root} to folders in {root / 'prepared'}"]
    assert not (root / "prepared").exists()


def damage(root: Path) -> None:
    file = root / "annotations/pixel-level/0805.mat"
    file.write_bytes(file.read_bytes()[:150])


def empty(root: Path) -> None:
    (root / "annotations/pixel-level/0805.mat").write_bytes(b"")


def rename_variable(root: Path) -> None:
    savemat(root / "annotations/pixel-level/0805.mat", {"other": np.zeros((6, 7))})


def lose_photo(root: Path) -> None:
    (root / "photos/0805.jpg").unlink()


def other_size(root: Path) -> None:
    write_annotation(root, "0805", np.zeros((7, 6)))


def no_tag(root: Path) -> None:
    write_annotation(root, "0805", np.full((6, 7), 59))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damage, "0805.mat cannot be read"),
        (empty, "0805.mat cannot be read"),
        (rename_variable, "0805.mat has no variable groundtruth"),
        (lose_photo, "0805.mat has no image: expected "),
        (other_size, "0805.jpg are 6x7 and 7x6"),
        (no_tag, "holds 59, which is no tag"),
    ],
)
def test_bad_sample_is_named_and_the_rest_kept_for_another_try(
    root: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(root)
    (problem,) = prepare(ccp(root), root / "prepared").problems
    assert message in problem.message
    assert (root / "prepared/test/labels/1004.png").is_file()
    with pytest.raises(DataError, match="data prepare ccp"):
        ccp(root).setup("validate")
