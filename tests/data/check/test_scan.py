from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data import Folder
from semsynth.data.check.scan import check_pairs, describe_values, scan, scan_pair, shape_differs
from semsynth.data.errors import DataError
from semsynth.data.labels import LabelSpace
from semsynth.data.pairs import Pair
from tests.data.trees import write_map, write_pair, write_photo

LOOKUP = LabelSpace(("a", "b", "c"), ((1, 0, 0), (2, 0, 0), (3, 0, 0))).lookup()
SIZE = (40, 60)


def classes(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, size, dtype=np.uint8)


def photo(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    write_photo(path, size[::-1], seed)
    return path


def labels(path: Path, values: np.ndarray) -> Path:
    write_map(path, values, str(values.dtype))
    return path


def pair(folder: Path, name: str = "0", size: tuple[int, int] = SIZE) -> Pair:
    image = photo(folder / f"{name}.jpg", size, int(name))
    return Pair(name, image, (labels(folder / f"{name}_map.png", classes(size, int(name))),))


@pytest.mark.parametrize(
    ("mask", "photo", "differs"),
    [
        ((39, 40), (40, 40), True),
        ((400, 599), (400, 600), True),
        ((1998, 1000), (2000, 1000), True),
        ((512, 512), (1024, 1024), False),
        ((333, 500), (667, 1001), False),
        ((40, 40), (40, 40), False),
    ],
)
def test_a_row_too_few_is_no_scale(
    mask: tuple[int, int], photo: tuple[int, int], differs: bool
) -> None:
    assert shape_differs(mask, photo) == differs == shape_differs(photo, mask)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def text(file: Path) -> None:
    file.write_text("no image")


def link_to_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("gone.png"))


def out_of_range(file: Path) -> None:
    values = classes()
    values[2:4] = 7, 9, *[1] * 58
    labels(file, values)


UNREADABLE: list[tuple[Callable[[Path], object], str, str]] = [
    (truncate, "damaged file", "cannot be read (image file is truncated"),
    (empty, "empty file", "cannot be read (the file is empty)"),
    (text, "not an image", "cannot be read (not an image)"),
    (link_to_nowhere, "broken symlink", "a link to"),
    (Path.unlink, "missing file", "cannot be read (No such file)"),
]
BAD_LABELS: list[tuple[Callable[[Path], object], str, str]] = [
    (
        out_of_range,
        "value without a class",
        "the value 7, 9, which is not a class; expected 0 to 2",
    ),
    (
        lambda file: labels(file, np.full(SIZE, 300, np.uint16)),
        "value without a class",
        "the value 300, which",
    ),
    (photo, "colour mask", "is a colour image: RGB"),
    (lambda file: labels(file, classes((40, 50))), "other shape", "_map.png is 50x40 and"),
]
CASES = [(of, *case) for case in UNREADABLE for of in ("photo", "labels", "instance")]


@pytest.mark.parametrize(
    ("of", "damage", "kind", "message"), CASES + [("labels", *case) for case in BAD_LABELS]
)
def test_bad_file_is_named(
    tmp_path: Path, of: str, damage: Callable[[Path], object], kind: str, message: str
) -> None:
    instance = labels(tmp_path / "instance.png", np.full(SIZE, 26001, np.uint16))
    sample = replace(pair(tmp_path), instance=instance)
    assert not scan_pair(sample, LOOKUP).problems
    file = {"photo": sample.image, "labels": sample.labels[0], "instance": instance}[of]
    assert file is not None
    damage(file)
    problem, *others = scan_pair(sample, LOOKUP).problems
    assert (problem.kind, problem.file) == (kind, file)
    assert str(file) in problem.message
    assert message in problem.message
    assert [other.kind for other in others] == ["other shape"] * (kind == "other shape")


def test_instance_map_of_another_shape_is_named(tmp_path: Path) -> None:
    instance = labels(tmp_path / "instance.png", np.full((40, 50), 26001, np.uint16))
    good = pair(tmp_path)
    (problem,) = scan_pair(Pair("0", good.image, good.labels, instance=instance), LOOKUP).problems
    assert (problem.kind, problem.file) == ("other shape", instance)


def test_both_files_of_a_pair_can_be_bad(tmp_path: Path) -> None:
    bad = pair(tmp_path)
    assert bad.image is not None
    truncate(bad.image)
    out_of_range(bad.labels[0])
    kinds = [problem.kind for problem in scan_pair(bad, LOOKUP).problems]
    assert kinds == ["damaged file", "value without a class"]


def test_bad_parts_are_all_named(tmp_path: Path) -> None:
    parts = tuple(labels(tmp_path / f"{i}.png", np.full(SIZE, 255, np.uint8)) for i in range(4))
    image = photo(tmp_path / "a.jpg")
    bad = Pair("0", image, parts, (1, 2, 1, 2))
    assert not scan_pair(bad, LOOKUP).problems
    empty(parts[1])
    text(parts[3])
    found = {p.file: p.kind for p in scan_pair(bad, LOOKUP).problems}
    assert found == {parts[1]: "empty file", parts[3]: "not an image"}


def test_parts_of_different_sizes_are_named(tmp_path: Path) -> None:
    parts = tuple(labels(tmp_path / f"{i}.png", np.zeros((8, 8 + i), np.uint8)) for i in range(2))
    (problem,) = scan_pair(Pair("0", None, parts, (1, 2)), LOOKUP).problems
    assert problem.kind == "parts of different sizes"


def test_label_map_at_half_the_size_of_its_photo_is_good(tmp_path: Path) -> None:
    image = photo(tmp_path / "a.jpg", (1001, 667))
    mask = labels(tmp_path / "a.png", classes((500, 333)))
    assert not scan_pair(Pair("a", image, (mask,)), LOOKUP).problems


def test_label_map_in_jpeg_is_refused(tmp_path: Path) -> None:
    image = photo(tmp_path / "a.png")
    mask = labels(tmp_path / "a.jpg", np.zeros(SIZE, np.uint8))
    (problem,) = scan_pair(Pair("a", image, (mask,)), LOOKUP).problems
    assert problem.kind == "lossy mask"


def test_orientation_that_turns_the_photo_away_from_its_labels_is_explained(tmp_path: Path) -> None:
    good = pair(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    assert good.image is not None
    Image.open(good.image).save(good.image, exif=exif)
    (problem,) = scan_pair(good, LOOKUP).problems
    assert problem.kind == "other shape"
    assert "EXIF orientation" in problem.message


def test_counts_are_those_of_the_classes_on_disk(tmp_path: Path) -> None:
    values = classes()
    values[0] = 255
    good = Pair("a", None, (labels(tmp_path / "a.png", values),))
    lookup = LOOKUP.copy()
    lookup[[0, 1, 2]] = 2, 0, 0  # values 1 and 2 are one class
    seen = scan_pair(good, lookup)
    expected = {0: ((values == 1) | (values == 2)).sum(), 2: (values == 0).sum(), 255: 60}
    assert {c: n for c, n in enumerate(seen.counts) if n} == expected
    assert seen.mask_size == SIZE


def test_exchanged_label_maps_of_different_shapes_are_named_together(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, str(i), size) for i, size in enumerate([(40, 60), (40, 50), (40, 45)])]
    a, b, c = pairs
    swapped = [Pair("0", a.image, b.labels), Pair("1", b.image, a.labels), c]
    problems = [seen.problems for seen in scan(swapped, LOOKUP)]
    assert [p.kind for of_one in problems for p in of_one] == ["exchanged files"] * 2
    assert not problems[2]
    for name in ("0_map.png", "1_map.png"):
        assert all(name in of_one[0].message for of_one in problems[:2])


def test_photo_and_label_map_in_each_others_place_are_named(tmp_path: Path) -> None:
    good = pair(tmp_path)
    assert good.image is not None
    (problem,) = scan_pair(Pair("0", good.labels[0], (good.image,)), LOOKUP).problems
    assert problem.kind == "exchanged files"


def test_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, str(i)) for i in range(9)]
    out_of_range(pairs[4].labels[0])
    found = [
        [(s.problems, s.image_size, s.mask_size, s.counts.tolist()) for s in scan(pairs, LOOKUP, n)]
        for n in (1, 5)
    ]
    assert found[0] == found[1]
    assert [bool(problems) for problems, *_ in found[0]] == [i == 4 for i in range(9)]


def test_good_files_are_read_once_and_changed_ones_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [pair(tmp_path, str(i)) for i in range(2)]
    check_pairs(pairs, LOOKUP)
    with monkeypatch.context() as context:
        context.setattr("semsynth.data.check.scan.scan", lambda *_: pytest.fail("read again"))
        check_pairs(pairs, LOOKUP)
    out_of_range(pairs[1].labels[0])
    for _ in range(2):  # bad files are never remembered as good
        with pytest.raises(DataError, match=r"1 of 2 samples are bad:\n.*1_map\.png has the val"):
            check_pairs(pairs, LOOKUP)


def test_training_does_not_start_on_bad_files(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for i in range(12):
            write_pair(tmp_path / split, i, classes())
    data = Folder(str(tmp_path), 3)
    data.setup("fit")
    for i in range(12):
        empty(tmp_path / "train/labels" / f"{i}.png")
    with pytest.raises(DataError, match=r"(?s)12 of 12 samples are bad:.*empty.*and 2 more"):
        Folder(str(tmp_path), 3).setup("fit")


def test_values_are_described_as_runs() -> None:
    assert describe_values(LOOKUP) == "0 to 2 and 255"
