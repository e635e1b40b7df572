"""The best achievable scores on the toy world, whose renderer is known.

The oracle redraws the appearance of each test layout: its diversity and its layout fidelity are
ceilings. The floor of the Frechet distance is that between the test images and as many others.
"""

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.cli import instantiate_class
from torch import Tensor

from semsynth.callbacks import Evaluation
from semsynth.data.toy import ToyDataModule
from semsynth.methods.base import Batch, Method
from semsynth.metrics import FrechetDistance


class Oracle(Method):
    """Renders the layouts of the batch with other appearances.

    Args:
        data: The toy world.
    """

    def __init__(self, data: ToyDataModule) -> None:
        super().__init__()
        self.data = data

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of the layouts that ``index`` names."""
        appearance_seed = int(batch["seed"][0]) % (1 << 31)
        return self.data.render_like("test", batch["index"], appearance_seed)


def data_key(config: dict[str, Any]) -> str:
    """What identifies the data of a run's configuration."""
    return f"{config['data']['class_path']} {sorted(config['data']['init_args'].items())}"


def exists_for(config: dict[str, Any]) -> bool:
    """Whether the data of a run's configuration come from a known renderer."""
    return config["data"]["class_path"].rsplit(".", 1)[-1] in ("ToyPortrait", "ToyStreet")


def measure(config: dict[str, Any], directory: Path) -> dict[str, float]:
    """Scores of the oracle under the evaluation of a run.

    Args:
        config: A run's configuration, as its ``config.yaml`` holds it.
        directory: Where the scores are written.
    """
    data = instantiate_class((), config["data"])
    metrics = [instantiate_class((), metric) for metric in config["evaluation"]["metrics"]]
    settings = {k: v for k, v in config["evaluation"].items() if k != "metrics"}
    evaluation = Evaluation(metrics, **settings)
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[evaluation],
        default_root_dir=directory,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.test(Oracle(data), data, verbose=False)
    scores = dict(evaluation.scores)
    for metric in metrics:
        if isinstance(metric, FrechetDistance):
            scores[metric.key] = frechet_floor(metric, data)
    return scores


@torch.no_grad()
def frechet_floor(metric: FrechetDistance, data: ToyDataModule) -> float:
    """Distance between the test images and as many others, of the same world by another seed."""
    others = type(data)(
        image_size=data.image_size[0],
        test_size=data.sizes["test"],
        eval_batch_size=data.eval_batch_size,
        seed=data.seed + 1,
    )
    metric.reset()
    for module in (data, others):
        module.setup("test")
    for batch, other in zip(data.test_dataloader(), others.test_dataloader(), strict=True):
        metric.update(batch["image"], other["image"])
    return float(metric.compute()[metric.key])
