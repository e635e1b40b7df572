from pathlib import Path

import numpy as np
import pytest
import torch

from semsynth.data import GTA5
from semsynth.data.sampling import SeededIndex
from tests.data.trees import as_float, only_batch, write_map, write_photo

SIZE = (2, 4)
LABELS = [[0, 10, 19, 255], [0, 18, 19, 1]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, first in (("train", 1), ("test", 100001)):
        for number in range(first, first + 4):
            write_photo(tmp_path / f"RGB256Full/{split}/{number:08d}.png", SIZE[::-1], number)
            write_map(tmp_path / f"LabelgrayFull20/{split}/{number:08d}.png", LABELS)
    return tmp_path


def gta5(root: Path, rebalance: bool = True, flip: bool = False) -> GTA5:
    return GTA5(str(root), rebalance, SIZE, flip, num_workers=0, batch_size=4)


def test_masks_hold_train_ids_and_others(root: Path) -> None:
    batch = only_batch(gta5(root))
    assert batch["mask"][0].tolist() == [[0, 10, 19, 19], [0, 18, 19, 1]]
    assert batch["name"][0] == "00100001"
    pixels = write_photo(root / "again.png", SIZE[::-1], 100001)
    assert torch.equal(batch["image"][0], as_float(pixels))
    assert "loss_mask" not in batch


def test_loss_mask_is_the_rarity_of_the_class_relative_to_the_rarest(root: Path) -> None:
    data = gta5(root)
    scores = np.zeros((4, 20))
    scores[:, 0], scores[:, 1], scores[:, 10], scores[:, 18], scores[:, 19] = 2, 8, 4, 1, 6
    data._scores = scores
    data.setup("fit")
    sample = data.dataset("train")[SeededIndex(2, 0)]
    expected = [[0.25, 0.5, 0.75, 0.75], [0.25, 0.125, 0.75, 1]]
    torch.testing.assert_close(sample["loss_mask"], torch.tensor(expected))


def test_loss_mask_is_mirrored_with_the_mask(root: Path) -> None:
    data = gta5(root, flip=True)
    data._scores = np.tile(np.arange(1.0, 21), (4, 1))
    dataset = data.dataset("train")
    masks = set()
    for seed in range(20):
        sample = dataset[SeededIndex(0, seed)]
        torch.testing.assert_close(sample["loss_mask"], (sample["mask"] + 1) / 20)
        masks.add(tuple(sample["mask"][0].tolist()))
    assert len(masks) == 2


def test_photos_are_drawn_by_the_rarity_of_five_classes(root: Path) -> None:
    data = gta5(root)
    data._scores = np.zeros((4, 20))
    data._scores[[0, 1], 0] = 1, 3  # road: a quarter and three quarters of its fifth
    data._scores[2, [1, 2, 10, 19]] = 1  # sidewalk, building, sky, others
    data._scores[3, [3, 18]] = 100  # wall and bicycle do not count
    data.setup("fit")
    orders = [data.training_order(torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert {len(order) for order in orders} == {10_000}
    share = torch.cat(orders).bincount(minlength=4) / 200_000
    torch.testing.assert_close(share, torch.tensor([0.05, 0.15, 0.8, 0]), atol=0.02, rtol=0)
    assert len(orders[0].unique()) == 3


def test_order_without_rebalancing_holds_each_photo_once(root: Path) -> None:
    data = gta5(root, rebalance=False)
    data.setup("fit")
    assert sorted(data.training_order(torch.Generator()).tolist()) == [0, 1, 2, 3]
    assert "loss_mask" not in data.dataset("train")[0]


def test_rarity_is_measured_once_and_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = gta5(root)
    data.prepare_data()
    monkeypatch.setattr("semsynth.data.gta5.scores_of_pairs", None)
    assert np.array_equal(gta5(root).scores(), data.scores())


def test_few_photos_count_alike(root: Path) -> None:
    data = gta5(root)
    data.setup("fit")
    order = data.training_order(torch.Generator().manual_seed(0))
    assert order.bincount().min() > 1500
    assert (data.dataset("train")[0]["loss_mask"] == 1).all()
