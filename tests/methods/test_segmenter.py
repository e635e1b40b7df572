from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from semsynth.methods import Segmenter
from tests.helpers.checks import quiet_trainer

from .conftest import NUM_CLASSES, SIZE, Batch


class Painted(torch.utils.data.Dataset[Batch]):
    """Images whose colour is their class."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Batch:
        mask = torch.arange(NUM_CLASSES).roll(index).repeat_interleave(SIZE // NUM_CLASSES)
        mask = mask.expand(SIZE, SIZE)
        image = (mask / NUM_CLASSES * 2 - 1).expand(3, SIZE, SIZE)
        return {"image": image, "mask": mask, "index": torch.tensor(index)}


def test_classes_that_are_colours_are_learnt(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = Segmenter(NUM_CLASSES, channels=4, lr=0.05)
    loader = DataLoader(Painted(), batch_size=4)
    trainer = quiet_trainer(tmp_path, max_steps=40)
    trainer.fit(method, loader)
    score = trainer.test(method, loader, verbose=False)[0]["test/MeanIoU"]
    assert score > 0.95


def test_pixels_without_a_label_do_not_count(batch: Batch) -> None:
    method = Segmenter(NUM_CLASSES, channels=4).eval()
    method.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    mask = batch["mask"].clone()
    mask[:, :32] = 255
    image = batch["image"]
    whole = torch.nn.functional.cross_entropy(method(image)[:, :, 32:], mask[:, 32:])
    assert torch.allclose(method.training_step({"image": image, "mask": mask}, 0), whole)


def test_prediction_is_a_label_map(batch: Batch) -> None:
    prediction = Segmenter(NUM_CLASSES, channels=4).eval().predict_step(batch, 0)
    assert prediction.shape == (2, SIZE, SIZE)
    assert prediction.dtype == torch.int64
    assert prediction.max() < NUM_CLASSES


@pytest.mark.parametrize("epochs", [1, 3])
def test_learning_rate_ends_low_in_any_length(train: Callable[..., Trainer], epochs: int) -> None:
    method = Segmenter(NUM_CLASSES, channels=2)
    trainer = train(method, max_epochs=epochs, max_steps=-1)
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.3 * method.lr
