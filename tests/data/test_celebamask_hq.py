from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semsynth.data import CelebAMaskHQ, DataError
from semsynth.data.celebamask_hq import MAPPING, MERGED, PARTS
from tests.data.trees import as_float, only_batch, write_map, write_pair, write_photo

ORIGINAL = {0: 119613, 1: 162770, 2: 162771, 1999: 182637, 2000: 182638, 28000: 5}
"""Index in CelebA of the faces of the tree; those around the borders of the splits too."""


def write_part(
    root: Path, index: int, part: str, rows: list[list[int]], colour: bool = True
) -> None:
    """Write a part file as the archive has it: 255 in three channels, some in one."""
    file = root / f"CelebAMask-HQ-mask-anno/{index // 2000}/{index:05d}_{part}.png"
    values = np.array(rows) * 255
    write_map(file, np.stack([values] * 3, 2) if colour else values)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in ORIGINAL:
        write_photo(tmp_path / f"CelebA-HQ-img/{index}.jpg", (8, 4), seed=index)
        write_part(tmp_path, index, "skin", [[1, 1, 1, 0], [1, 1, 1, 0]])
    lines = [f"{i}\t{o}\t{o + 1:06d}.jpg" for i, o in ORIGINAL.items()]
    head = "idx         orig_idx     orig_file"
    (tmp_path / MAPPING).write_text("\n".join([head, *lines]) + "\n")
    return tmp_path


def faces(root: Path, **arguments: Any) -> CelebAMaskHQ:
    defaults: dict[str, Any] = {
        "split": "index",
        "image_size": (2, 4),
        "load_size": None,
        "flip": False,
        "num_workers": 0,
        "batch_size": 8,
    }
    return CelebAMaskHQ(str(root), **(defaults | arguments))


def test_later_parts_cover_earlier_ones_whatever_the_order_of_the_files(root: Path) -> None:
    write_part(root, 28000, "hair", [[0, 1, 0, 1], [0, 0, 0, 0]])
    write_part(root, 28000, "l_eye", [[0, 1, 1, 0], [0, 0, 0, 0]], colour=False)
    write_part(root, 28000, "cloth", [[0, 0, 0, 0], [0, 0, 1, 1]])
    # hair (13) covers l_eye (4), which covers skin (1); what nothing covers is background
    assert only_batch(faces(root))["mask"].tolist() == [[[1, 13, 4, 13], [1, 1, 18, 18]]]


def test_hidden_files_are_no_parts(root: Path) -> None:
    (root / "CelebAMask-HQ-mask-anno/14/._28000_skin.png").write_bytes(b"AppleDouble")
    assert only_batch(faces(root))["mask"].tolist() == [[[1, 1, 1, 0], [1, 1, 1, 0]]]


def test_merging_equals_painting_pixel_by_pixel(root: Path) -> None:
    parts = np.random.default_rng(0).random((18, 16, 17)) < 0.15
    for part, rows in zip(PARTS, parts, strict=True):
        write_part(root, 28000, part, rows.tolist())
    write_photo(root / "CelebA-HQ-img/28000.jpg", (17, 16))
    expected = np.zeros((16, 17), dtype=int)
    for y in range(16):
        for x in range(17):
            painted = [k + 1 for k in range(18) if parts[k, y, x]]
            expected[y, x] = painted[-1] if painted else 0
    mask = only_batch(faces(root, image_size=(16, 17)))["mask"]
    assert mask[0].tolist() == expected.tolist()
    assert mask.unique().tolist() == list(range(19))


def test_official_split_follows_the_index_in_celeba(root: Path) -> None:
    data = faces(root, split="official")
    assert data.names("train") == ["0", "1", "28000"]
    assert data.names("val") == ["2", "1999"]
    assert data.names("test") == ["2000"]


def test_split_by_index_tests_from_28000(root: Path) -> None:
    data = faces(root)
    assert data.names("train") == ["0", "1", "2", "1999", "2000"]
    assert data.names("val") == data.names("test") == ["28000"]


def test_shots_of_the_papers_come_first(root: Path) -> None:
    data = faces(root, shots=2)
    data.setup("fit")
    assert [data.names("train")[i] for i in data.train_ids] == ["0", "1"]


def test_mirror_exchanges_left_and_right(root: Path) -> None:
    for index in (0, 1, 2, 1999, 2000):
        write_part(root, index, "l_eye", [[1, 0, 0, 0], [0, 0, 0, 0]])
        write_part(root, index, "r_ear", [[0, 0, 0, 0], [0, 1, 0, 0]])
    plain, mirrored = [[4, 1, 1, 0], [1, 9, 1, 0]], [[0, 1, 1, 5], [0, 1, 8, 1]]
    unswapped = [[0, 1, 1, 4], [0, 1, 9, 1]]
    for swap, flipped in ((True, mirrored), (False, unswapped)):
        masks = []
        for seed in range(4):
            torch.manual_seed(seed)
            data = faces(root, flip=True, swap_left_right=swap)
            masks += only_batch(data, "train")["mask"].tolist()
        assert plain in masks
        assert flipped in masks
        assert all(mask in (plain, flipped) for mask in masks)


def test_merged_label_maps_are_read_instead_of_parts(root: Path) -> None:
    for index in ORIGINAL:
        write_map(root / MERGED / f"{index}.png", [[0, 18, 3, 1]])
    assert only_batch(faces(root, image_size=(1, 4)))["mask"].flatten().tolist() == [0, 18, 3, 1]


def test_prepared_tree_has_its_own_split(tmp_path: Path) -> None:
    for split, name in (("train", "10"), ("test", "28001")):
        write_pair(tmp_path / split, name, [[0, 1, 2, 18], [17, 3, 4, 5]])
    data = faces(tmp_path)
    assert only_batch(data)["mask"].tolist() == [[[0, 1, 2, 18], [17, 3, 4, 5]]]
    assert (data.names("train"), data.names("test")) == (["10"], ["28001"])


def test_photo_comes_with_its_own_mask(root: Path) -> None:
    (root / "CelebA-HQ-img/28000.jpg").unlink()
    pixels = write_photo(root / "CelebA-HQ-img/28000.png", (4, 2), seed=9)
    assert torch.equal(only_batch(faces(root))["image"][0], as_float(pixels))


@pytest.mark.parametrize(
    ("gone", "arguments", "message"),
    [
        (MAPPING, {"split": "official"}, r"no .*mapping\.txt.*choose split: index"),
        (
            "CelebAMask-HQ-mask-anno/14/28000_skin.png",
            {},
            r"28000\.jpg has no mask: expected .*14/28000_\*\.png ; unpack the archive again",
        ),
    ],
)
def test_missing_file_is_named_with_the_remedy(
    root: Path, gone: str, arguments: dict[str, str], message: str
) -> None:
    (root / gone).unlink()
    with pytest.raises(DataError, match=message):
        faces(root, **arguments).setup("validate")


def test_face_that_the_mapping_does_not_know_is_named(root: Path) -> None:
    write_photo(root / "CelebA-HQ-img/5.jpg")
    with pytest.raises(DataError, match="has no line for face 5"):
        faces(root, split="official").setup("fit")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("beard", r"28000_beard\.png is not a part file"),
        ("hair", r"28000_hair\.png is 1x1 and .*28000_skin\.png is 4x2"),
    ],
)
def test_part_of_another_name_or_size_is_named(root: Path, part: str, message: str) -> None:
    write_part(root, 28000, part, [[1]])
    with pytest.raises(DataError, match=message):
        faces(root).setup("validate")
