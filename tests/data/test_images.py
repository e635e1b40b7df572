from pathlib import Path

import pytest
import torch
from PIL import Image

from semsynth.data import DataError, Images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        Image.new("RGB", (20, 10), (i * 40, 0, 0)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_every_image_is_trained_on_without_labels(folder: Path) -> None:
    data = Images(str(folder), image_size=16, batch_size=3, num_workers=0)
    data.setup("fit")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.train_dataloader()]
    assert {name for batch in batches for name in batch["name"]} == set("012345")
    for batch in batches:
        assert batch["image"].shape == (3, 3, 16, 16)
        assert "mask" not in batch
        red = torch.tensor([int(name) * 40 for name in batch["name"]]) / 127.5 - 1
        torch.testing.assert_close(batch["image"][:, 0].mean((1, 2)), red, atol=0.01, rtol=0)


def test_evaluation_takes_as_many_images_as_it_is_told(folder: Path) -> None:
    data = Images(str(folder), image_size=16, eval_size=4, num_workers=0)
    data.setup("test")
    names = [name for batch in data.test_dataloader() for name in batch["name"]]
    assert names == ["0", "1", "2", "3"]


def test_a_bad_image_is_named_before_training(folder: Path) -> None:
    (folder / "3.png").write_text("no image")
    with pytest.raises(DataError, match=r"3\.png"):
        Images(str(folder), image_size=16).setup("fit")
