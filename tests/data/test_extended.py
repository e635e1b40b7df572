from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semsynth.data import DataError, Extended, ToyStreet
from tests.data.trees import write_pair

SKY = 0


def export(root: Path, count: int = 5) -> Path:
    """An exported data set whose label maps are all sky."""
    for i in range(count):
        write_pair(root / "train", i, np.full((64, 64), SKY), seed=i)
    names = ToyStreet.world.label_space.names
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def street(**arguments: Any) -> ToyStreet:
    return ToyStreet(train_size=16, val_size=2, test_size=3, **arguments)


def drawn(data: Extended, epoch: int = 0) -> torch.Tensor:
    data.setup("fit")
    return data.training_order(torch.Generator().manual_seed(epoch))


def test_an_epoch_has_the_shots_and_the_exported_samples_in_their_shares(tmp_path: Path) -> None:
    data = Extended(street(shots=2), str(export(tmp_path)), 0.25, epoch_size=400)
    order = drawn(data)
    from_shots = order < 16
    assert from_shots.float().mean() == pytest.approx(0.25, abs=0.06)
    assert set(order[from_shots].tolist()) == set(data.labelled.train_ids)
    counts = (order[~from_shots] - 16).bincount(minlength=5)
    assert counts.max() - counts.min() <= 1  # each as often as the others


def test_without_exported_data_shots_are_repeated() -> None:
    data = Extended(street(shots=1), share=1.0, epoch_size=8, batch_size=4)
    assert drawn(data).tolist() == data.labelled.train_ids * 8
    assert [len(batch["image"]) for batch in data.train_dataloader()] == [4, 4]


def test_exported_data_alone_read_no_label_of_the_others(tmp_path: Path) -> None:
    data = Extended(street(), str(export(tmp_path)), 0.0, epoch_size=6, batch_size=3)
    data.setup("fit")
    masks = torch.cat([batch["mask"] for batch in data.train_dataloader()])
    assert (masks == SKY).all()


def test_a_batch_of_both_is_what_methods_take(tmp_path: Path) -> None:
    data = Extended(street(shots=1), str(export(tmp_path)), 0.5, epoch_size=16, batch_size=16)
    data.setup("fit")
    (loaded,) = data.train_dataloader()
    batch = data.on_after_batch_transfer(loaded, 0)
    assert batch["image"].shape == (16, 3, 64, 64)
    assert -1 <= batch["image"].min() < batch["image"].max() <= 1
    assert batch["mask"].dtype == torch.int64
    alone = street(shots=1).dataset("train")[data.labelled.train_ids[0]]
    row = int((batch["index"] == alone["index"]).nonzero()[0])
    torch.testing.assert_close(batch["image"][row], alone["image"])
    assert torch.equal(batch["mask"][row], alone["mask"])


def test_scores_are_of_the_labelled_data(tmp_path: Path) -> None:
    data = Extended(street(), str(export(tmp_path)))
    assert data.measured_on == "ToyStreet"
    data.setup("test")
    assert sum(len(batch["index"]) for batch in data.test_dataloader()) == 3


@pytest.mark.parametrize(
    ("names", "share", "message"),
    [
        ("road\nsky\n", 0.5, "has the classes road, sky, but the labelled data have sky, building"),
        (None, 0.5, r"There is no .*classes.txt"),
        ("", 1.5, "share is 1.5"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, names: str | None, share: float, message: str
) -> None:
    if names is not None:
        (tmp_path / "classes.txt").write_text(names)
    with pytest.raises(DataError, match=message):
        Extended(street(), str(tmp_path), share)
    with pytest.raises(DataError, match="without exported data it is 1"):
        Extended(street(), None, 0.5)
