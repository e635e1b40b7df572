from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from semsynth.methods import FlowEstimator
from semsynth.methods.flow_estimator import masked_mean, sequence_loss
from tests.helpers.checks import quiet_trainer

Batch = dict[str, Any]
TINY: Any = {"channels": 8, "feature_dim": 16, "hidden_dim": 16, "context_dim": 8}


class Shifted(Dataset[Batch]):
    """Noise that moves by four pixels to the right or to the left, and grows in name only."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Batch:
        torch.manual_seed(index)
        shift = 4 if index % 2 else -4
        image = torch.rand(3, 8, 8).repeat_interleave(4, 1).repeat_interleave(4, 2) * 2 - 1
        flow = torch.zeros(2, 32, 32)
        flow[0] = shift
        column = torch.arange(32) + shift
        return {
            "image": image,
            "target": image.roll(shift, 2),
            "flow": flow,
            "log_expansion": torch.full((1, 32, 32), 0.02 * shift),
            "valid": ((column >= 0) & (column < 32)).expand(1, 32, 32),
            "index": torch.tensor(index),
        }


def batch_of(size: int = 2) -> Batch:
    return next(iter(DataLoader(Shifted(), batch_size=size)))


def quiet(method: FlowEstimator) -> FlowEstimator:
    method.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    method.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return method


def test_sequence_loss_weights_later_updates_more() -> None:
    flow = torch.zeros(1, 2, 1, 2)
    flows = torch.zeros(3, 1, 2, 1, 2)
    flows[:, :, 0] = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    valid = torch.tensor([True, False]).view(1, 1, 1, 2)
    flows[..., 1] = 100.0  # where nothing is known
    loss = sequence_loss(flows, flow, valid, gamma=0.5)
    # 0.25 * 1 + 0.5 * 2 + 1 * 3, the other component being right
    assert loss.item() == pytest.approx(4.25)


def test_masked_mean_is_over_valid_pixels_and_zero_if_there_are_none() -> None:
    error = torch.tensor([1.0, 3.0, 100.0]).view(1, 1, 1, 3)
    valid = torch.tensor([True, True, False]).view(1, 1, 1, 3)
    assert masked_mean(error, valid) == 2
    assert masked_mean(error, torch.zeros_like(valid)) == 0


def test_training_reduces_the_error_to_a_fraction(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = FlowEstimator(**TINY, num_levels=2, num_updates=2, lr=5e-3)
    loader = DataLoader(Shifted(), batch_size=4)
    trainer = quiet_trainer(tmp_path, max_steps=40)
    trainer.fit(method, loader)
    scores = trainer.test(method, loader, verbose=False)[0]
    assert scores["test/EPE"] < 0.5  # of four pixels
    assert scores["test/log_expansion_mae"] < 0.02  # of 0.08


def test_errors_are_means_over_valid_pixels_of_all_batches() -> None:
    method = quiet(FlowEstimator(**TINY, num_levels=2)).eval()
    errors, valid = [], []
    for batch in DataLoader(Shifted(), batch_size=3):  # the last has one pair
        with torch.no_grad():
            method.test_step(batch, 0)
            flow = method(batch["image"], batch["target"]).flows[-1]
        errors.append((flow - batch["flow"]).square().sum(1).sqrt().flatten())
        valid.append(batch["valid"].flatten())
    expected = torch.cat(errors)[torch.cat(valid)].mean()
    torch.testing.assert_close(method.epe.compute(), expected)
    assert 0 < method.epe_dis.compute() < 4


def test_prediction_and_variations_are_images() -> None:
    method, batch = FlowEstimator(**TINY).eval(), batch_of()
    series = method.supply(batch, {"variations"})["variations"]
    images: list[Tensor] = [method.predict_step(batch, 0), series["flow"]]
    assert images[0].shape == (2, 3, 32, 32)
    assert images[1].shape == (2, 3, 3, 32, 32)
    assert all(image.abs().max() <= 1 for image in images)
    torch.testing.assert_close(images[1][:, 0], batch["target"])
