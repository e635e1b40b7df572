import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from PIL import Image
from torch import Tensor, nn

from semsynth.callbacks import Evaluation, GeneratorEMA, ImageLogger, PredictionWriter
from semsynth.data import LabelSpace, SynthesisDataModule
from semsynth.data.base import Batch, Split
from semsynth.data.decode import read_mask
from semsynth.metrics import ImageMetric
from semsynth.networks.noise import seeded_normal
from tests.callbacks.test_evaluation import trainer

SIZE = 4


class Masks(SynthesisDataModule):
    """Six samples whose images are their own number, in batches of a chosen size."""

    def __init__(self, eval_batch_size: int = 4) -> None:
        space = LabelSpace(("a", "b"), ((0, 0, 0), (255, 255, 255)))
        super().__init__(space, SIZE, 2, eval_batch_size, 0)

    def dataset(self, split: Split) -> Any:
        return [
            {
                "image": torch.full((3, SIZE, SIZE), i / 10),
                "mask": torch.full((SIZE, SIZE), i % 2),
                "index": torch.tensor(i),
                "name": f"mask_{i}",
            }
            for i in range(6)
        ]


class Noise(LightningModule):
    """Predicts its one weight plus noise by seed; trains the weight towards 1."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.generator.weight)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        noise = seeded_normal(batch["seed"], 3, SIZE, SIZE) * 0.1
        return noise + self.generator.weight.view(1, 1, 1, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return -self.generator.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None: ...

    def test_step(self, batch: Batch, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Sums(ImageMetric):
    """Sums of what it is given."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, fake: Tensor, fakes: Tensor, mask: Tensor) -> None:
        assert torch.equal(fakes[:, 0], fake)
        assert not torch.equal(fakes[:, 0], fakes[:, 1])
        self.total += fakes.double().sum()
        self.count += fakes.shape[1] * len(mask)

    def compute(self) -> dict[str, Tensor]:
        return {"total": self.total, "count": self.count}


def test_scores_are_logged_and_written(tmp_path: Path) -> None:
    evaluation = Evaluation([Sums()], num_samples=3)
    logged = trainer(tmp_path, evaluation).test(Noise(), Masks(), verbose=False)[0]
    assert logged["test/count"] == 18
    record = json.loads((tmp_path / "scores/test.json").read_text())
    assert record["scores"]["count"] == 18
    assert record["scores"]["total"] == pytest.approx(logged["test/total"], rel=1e-6)
    assert record["num_samples"] == 3


def test_scores_depend_on_the_seed_and_not_on_the_batch_size(tmp_path: Path) -> None:
    totals = []
    for size, seed in ((1, 0), (4, 0), (6, 0), (4, 1)):
        evaluation = Evaluation([Sums()], num_samples=2, seed=seed)
        trainer(tmp_path, evaluation).test(Noise(), Masks(size), verbose=False)
        totals.append(evaluation.scores["total"])
    assert totals[:3] == pytest.approx([totals[0]] * 3, rel=1e-6)
    assert totals[1] != totals[3]


def test_grid_of_a_test_has_mask_image_and_samples(tmp_path: Path) -> None:
    images = ImageLogger(num_masks=2, num_samples=3)
    trainer(tmp_path, images).test(Noise(), Masks(), verbose=False)
    width, height = Image.open(tmp_path / "images/test_samples.png").size
    assert (height, width) == (2 * SIZE + 2, 5 * SIZE + 4 * 2)


class Classes(Noise):
    """Predicts the label maps."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return batch["mask"]


def test_predictions_of_a_segmenter_are_written_as_label_maps(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "masks"), num_samples=2)
    trainer(tmp_path, writer).predict(Classes(), Masks(), return_predictions=False)
    assert len(list((tmp_path / "masks").iterdir())) == 6
    for i in range(6):
        assert (read_mask(tmp_path / f"masks/mask_{i}.png") == i % 2).all()


def fit_with_ema(directory: Path, steps: int, ckpt_path: str | None = None) -> tuple[Noise, Any]:
    ema = GeneratorEMA(decay=0.5, warm_up=False)
    method, run = Noise(), trainer(directory, ema, max_steps=steps, limit_val_batches=0)
    run.fit(method, Masks(), ckpt_path=ckpt_path)
    return method, run


def test_average_is_the_decayed_sum_of_past_weights(tmp_path: Path) -> None:
    method, _ = fit_with_ema(tmp_path, 3)  # weights 1, 2, 3 after each step, from 0
    expected = 0.5 * (0.5 * (0.5 * 0 + 0.5 * 1) + 0.5 * 2) + 0.5 * 3
    assert method.generator.weight.item() == pytest.approx(expected)


def test_checkpoint_holds_the_average_and_training_goes_on_from_the_weights(tmp_path: Path) -> None:
    _, run = fit_with_ema(tmp_path, 2)
    path = str(tmp_path / "a.ckpt")
    run.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)["state_dict"]["generator.weight"].item()
    assert saved == pytest.approx(0.5 * 0.5 + 0.5 * 2)
    resumed, _ = fit_with_ema(tmp_path, 3, ckpt_path=path)
    whole, _ = fit_with_ema(tmp_path, 3)
    assert resumed.generator.weight.item() == pytest.approx(whole.generator.weight.item())
