import shutil
from pathlib import Path

import pytest

from semsynth.data.decode import read_labels
from semsynth.data.errors import DataError, MissingSplitError, PairingError
from semsynth.data.pairs import Pair, find_pairs, list_images
from tests.data.trees import write_map, write_photo


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(4):
        write_photo(tmp_path / "images" / f"{i}.jpg")
        write_map(tmp_path / "labels" / f"{i}.png", [[0]])
    return tmp_path


def pairs(root: Path) -> list[Pair]:
    return find_pairs(root / "images", root / "labels")


def test_files_of_one_stem_are_a_pair(root: Path) -> None:
    found = pairs(root)
    assert [pair.name for pair in found] == ["0", "1", "2", "3"]
    assert found[2] == Pair("2", root / "images/2.jpg", (root / "labels/2.png",))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("labels/1.png", r"images/1\.jpg has no mask: expected .*labels/1\.\* ; add it or remove"),
        ("images/1.jpg", r"labels/1\.png has no image: expected .*images/1"),
        ("images/*", r"images has no images; expected files"),
        ("images", r"no directory .*images; check the root"),
    ],
)
def test_missing_files_are_named_with_the_remedy(root: Path, gone: str, message: str) -> None:
    for path in list(root.glob(gone)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=message):
        pairs(root)


def test_files_of_one_stem_are_named(root: Path) -> None:
    write_photo(root / "images/2.png")
    with pytest.raises(DataError, match=r"images/2\.png and .*images/2\.jpg have the same stem"):
        pairs(root)


def test_all_damage_is_told_at_once_with_the_pairs_that_are_left(root: Path) -> None:
    write_photo(root / "images/2.png")
    for gone in ("labels/1.png", "images/3.jpg"):
        (root / gone).unlink()
    with pytest.raises(PairingError) as error:
        pairs(root)
    files = {problem.file.name for problem in error.value.problems}
    assert files == {"1.jpg", "2.png", "3.png"}
    assert [pair.name for pair in error.value.pairs] == ["0", "2"]


def test_split_that_is_absent_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(MissingSplitError, match=r"no directory .*images nor .*labels"):
        pairs(tmp_path)


def test_other_files_are_left_alone(root: Path) -> None:
    for name in ("notes.txt", "._0.png", ".DS_Store", "Thumbs.db"):
        (root / "images" / name).write_text("")
    (root / "images/folder.png").mkdir()
    (root / "images/3.jpg").rename(root / "images/3.JPG")
    assert list(list_images(root / "images")) == ["0", "1", "2", "3"]


def test_accents_are_equal_composed_and_decomposed(root: Path) -> None:
    write_photo(root / "images" / "caf\u00e9.jpg")
    write_map(root / "labels" / "cafe\u0301.png", [[0]])
    assert pairs(root)[-1].name == "caf\u00e9"


@pytest.mark.parametrize("pattern", ["NAME_mask", "seg-NAME"])
def test_pattern_of_label_maps_is_offered_and_taken(root: Path, pattern: str) -> None:
    for file in list((root / "labels").iterdir()):
        file.rename(file.with_stem(pattern.replace("NAME", file.stem)))
    with pytest.raises(DataError, match=rf"--data\.label_name {pattern}\."):
        pairs(root)
    found = find_pairs(root / "images", root / "labels", pattern)
    assert [pair.name for pair in found] == ["0", "1", "2", "3"]


def test_names_that_differ_in_case_are_named_together(root: Path) -> None:
    write_photo(root / "images/car.jpg")
    write_map(root / "labels/Car.png", [[0]])
    with pytest.raises(
        PairingError, match=r"images/car\.jpg and .*labels/Car\.png differ in upper"
    ):
        pairs(root)


def test_images_that_lie_deeper_are_counted(tmp_path: Path) -> None:
    for name in ("a/0", "a/1", "b/0"):
        write_photo(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match=r"/a has 2, .*/b has 1; give that one, or move its files"):
        list_images(tmp_path)


def test_parts_are_painted_in_their_order(tmp_path: Path) -> None:
    files = (tmp_path / "a.png", tmp_path / "b.png")
    write_map(files[0], [[255, 255, 0]])
    write_map(files[1], [[0, 1, 0]])
    assert read_labels(Pair("a", None, files, (3, 7))).tolist() == [[3, 7, 0]]
    assert read_labels(Pair("a", None, files[::-1], (7, 3))).tolist() == [[3, 3, 0]]
