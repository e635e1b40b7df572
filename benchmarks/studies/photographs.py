"""The scores of real photographs, the upper bound on data that no renderer draws.

What a judge says of the test photos is the upper bound of layout fidelity. Distances between two
sets of images are measured between the test photos and as many training photos, which is what a
generator without fault would get with as many images.
"""

from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.cli import instantiate_class
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from semsynth.callbacks import Evaluation
from semsynth.data.base import SynthesisDataModule
from semsynth.methods.base import Batch, Method
from semsynth.metrics import ImageMetric

SMALL = ("CCP", "CamVid", "Folder")
"""Data sets whose photographs the runner of a sweep may measure by itself."""
SETS_OF_IMAGES = {"image", "fake"}


class Photographs(Method):
    """Gives back the photo of each label map."""

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The images (B, 3, H, W) of the batch."""
        return batch["image"]


def exist_for(config: dict[str, Any]) -> bool:
    """Whether the data of a run's configuration are photographs, and few."""
    return config["data"]["class_path"].rsplit(".", 1)[-1] in SMALL


def measure(config: dict[str, Any], directory: Path) -> dict[str, float]:
    """Scores of the photos under the evaluation of a run, which are also written to a directory."""
    recipe = config["data"] | {"init_args": config["data"]["init_args"] | {"flip": False}}
    data = instantiate_class((), recipe)
    metrics = [instantiate_class((), metric) for metric in config["evaluation"]["metrics"]]
    metrics = [metric for metric in metrics if metric.wants <= {*SETS_OF_IMAGES, "mask"}]
    evaluation = Evaluation(metrics, seed=config["evaluation"]["seed"])
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        logger=False,
        callbacks=[evaluation],
        default_root_dir=directory,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.test(Photographs(), data, verbose=False)
    scores = dict(evaluation.scores)
    for metric in metrics:
        if metric.wants == SETS_OF_IMAGES:
            scores |= between_splits(metric, data)
    return scores


@torch.no_grad()
def between_splits(metric: ImageMetric, data: SynthesisDataModule) -> dict[str, float]:
    """Scores of training photos, evenly chosen, against as many test photos."""
    metric.reset()
    metric.load_real_state(None)
    data.setup("test")
    real = data.dataset("test")
    count, others = len(data.names("test")), len(data.names("train"))
    ids = torch.linspace(0, others - 1, count).round().long().tolist()
    fake = Subset(data.dataset("train"), ids)
    loaders = (DataLoader(dataset, data.eval_batch_size) for dataset in (real, fake))
    for pair in zip(*loaders, strict=True):
        image, other = (data.on_after_batch_transfer(b, 0)["image"] for b in pair)
        metric.update(image=image.to(metric.device), fake=other.to(metric.device))
    return {name: float(value) for name, value in metric.compute().items()}
