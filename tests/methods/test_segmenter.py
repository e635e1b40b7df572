from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning import Trainer
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from semsynth.callbacks import Evaluation
from semsynth.losses.losses import dice_loss
from semsynth.methods import Segmenter
from semsynth.metrics import SegmentationQuality
from semsynth.weights import MissingWeightsError
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
    trainer = quiet_trainer(tmp_path, max_steps=40, callbacks=[Evaluation([SegmentationQuality])])
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


def test_training_starts_with_the_weights_of_the_trunk_and_changes_them(
    train: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create: Callable[..., Any] = timm.create_model
    classifier = create("tf_efficientnet_lite0", num_classes=2)
    save_file(classifier.state_dict(), tmp_path / "trunk.safetensors")
    monkeypatch.setattr("semsynth.weights.find", lambda name, *_: tmp_path / "trunk.safetensors")
    method = Segmenter(NUM_CLASSES, channels=2, trunk="efficientnet-lite0", lr=0.0)
    train(method, max_steps=1)
    own = dict(method.network.named_parameters())
    for key, value in classifier.named_parameters():
        if f"trunk.{key}" in own:
            assert own[f"trunk.{key}"].equal(value)
    method.lr = 1e-3
    train(method, max_steps=1)
    assert not own["trunk.conv_stem.weight"].equal(classifier.conv_stem.weight)


def test_missing_weights_of_the_trunk_are_named_with_the_remedy(
    train: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMSYNTH_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("semsynth.weights.store.locate", lambda name: None)
    method = Segmenter(NUM_CLASSES, channels=2, trunk="efficientnet-lite0")
    with pytest.raises(MissingWeightsError, match=r"--model\.trunk null"):
        train(method, max_steps=1)


def test_dice_weight_adds_the_dice_loss(batch: Batch) -> None:
    method = Segmenter(NUM_CLASSES, channels=4).eval()
    method.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    plain = method.training_step(batch, 0)
    method.dice_weight = 0.5
    expected = plain + 0.5 * dice_loss(method(batch["image"]), batch["mask"])
    torch.testing.assert_close(method.training_step(batch, 0), expected)


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
