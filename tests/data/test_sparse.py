from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from semsynth.data import DataError, FewShotFolder, MaskFolder, ToyPortrait, ToyStreet
from semsynth.data.sparse import SparseLabels, landmarks, scribbles
from tests.data.trees import write_map, write_photo

KINDS = ("scribbles", "landmarks")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", [ToyPortrait, ToyStreet])
def test_marks_lie_inside_the_regions_of_their_class(module: type[ToyPortrait], kind: str) -> None:
    dataset = module(test_size=8, labels=kind).dataset("test")  # type: ignore[arg-type]
    for item in (dataset[i] for i in range(8)):
        marked = item["mask"] > 0
        assert (item["mask"][marked] == item["full_mask"][marked] + 1).all()
        assert 0.002 < marked.float().mean() < 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_that_is_there_is_marked(kind: str) -> None:
    dataset = ToyPortrait(test_size=8, labels=kind).dataset("test")  # type: ignore[arg-type]
    for item in (dataset[i] for i in range(8)):
        assert set((item["mask"].unique() - 1).tolist()) - {-1} == set(
            item["full_mask"].unique().tolist()
        )


def test_strokes_depend_on_their_own_mask_and_id_alone() -> None:
    few, many = (ToyPortrait(test_size=n, labels="scribbles").dataset("test") for n in (2, 8))
    assert isinstance(many, SparseLabels)
    assert torch.equal(few[1]["mask"], many.__getitems__([0, 1, 5])[1]["mask"])
    other = SparseLabels(many.dataset, "scribbles", seed=1, first=many.first)
    assert not torch.equal(other[1]["mask"], many[1]["mask"])


def test_the_photo_stays_and_the_dense_mask_comes_beside_the_marks() -> None:
    dense, sparse = (
        ToyPortrait(test_size=2, labels=kind).dataset("test")[0] for kind in ("dense", "scribbles")
    )
    assert torch.equal(dense["image"], sparse["image"])
    assert torch.equal(dense["mask"], sparse["full_mask"])


def test_the_label_space_of_marks_begins_with_unknown() -> None:
    data = ToyPortrait(labels="scribbles")
    assert data.num_classes == 10
    assert data.label_space.names[:2] == ("unknown", "background")
    assert data.label_space.unknown == 0


def test_a_stroke_follows_a_region_and_does_not_fill_it() -> None:
    mask = np.zeros((64, 64), dtype=np.int64)
    mask[10:50, 10:50] = 3
    drawn = scribbles(mask, np.random.default_rng(0))
    stroke = drawn == 4
    assert 20 < stroke.sum() < 0.3 * (mask == 3).sum()
    assert ndimage.label(stroke, np.ones((3, 3)))[1] <= 2


def test_a_landmark_lies_where_the_border_is_farthest() -> None:
    mask = np.zeros((64, 64), dtype=np.int64)
    mask[20:41, 30:51] = 1
    rows, columns = np.nonzero(landmarks(mask) == 2)
    assert abs(rows.mean() - 30) <= 1
    assert abs(columns.mean() - 40) <= 1
    assert len(rows) == 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_photo(tmp_path / "train/images/a.png", (4, 2))
    write_map(tmp_path / "train/labels/a.png", [[0, 0, 0, 0], [0, 0, 0, 0]])
    return tmp_path


def test_label_maps_that_mark_nothing_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"labels/a\.png marks nothing"):
        FewShotFolder(str(root), 3, "sparse", image_size=(2, 4)).setup("fit")
    FewShotFolder(str(root), 3, "dense", image_size=(2, 4)).setup("fit")  # there 0 is a class


def test_masks_to_synthesise_from_must_mark_something(root: Path) -> None:
    trained_on = FewShotFolder(str(root), 3, "sparse", image_size=(2, 4))
    with pytest.raises(DataError, match=r"labels/a\.png marks nothing"):
        MaskFolder(str(root / "train/labels"), trained_on).setup("predict")
