"""The scores of real photographs, the upper bound on data that no renderer draws.

``python -m benchmarks.studies.photographs EXPERIMENT`` prints them; with ``--weights FILE`` it
prints those of a kept CLVAE under the same evaluation.

What a judge says of the test photos is the upper bound of layout fidelity. Distances between two
sets of images are measured between the test photos and as many training photos, which is what a
generator without fault would get with as many images.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jsonargparse import auto_cli
from lightning import Trainer
from lightning.pytorch.cli import instantiate_class
from omegaconf import OmegaConf
from rich import print_json
from torch import Tensor
from torch.utils.data import DataLoader, Subset

import semsynth.metrics
from semsynth.callbacks import Evaluation
from semsynth.callbacks.evaluation import build_metrics
from semsynth.data.base import SynthesisDataModule
from semsynth.data.opening import open_data
from semsynth.methods.base import Batch, Method
from semsynth.methods.trained import load_trained
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
    recipes = [partial(instantiate_class, (), m) for m in config["evaluation"]["metrics"]]
    metrics, _ = build_metrics(recipes)  # without those that the run may have gone without
    return measure_photos(instantiate_class((), recipe), metrics, directory)


def measure_photos(
    data: SynthesisDataModule, metrics: Sequence[ImageMetric], directory: Path
) -> dict[str, float]:
    """Scores of the test photos by those of the metrics that take one image a mask."""
    fitting = [metric for metric in metrics if metric.wants <= {*SETS_OF_IMAGES, "mask"}]
    scores = test(Photographs(), data, Evaluation(fitting), directory)
    for metric in fitting:
        if metric.wants == SETS_OF_IMAGES:
            scores |= between_splits(metric, data)
    return scores


def test(
    method: Method, data: SynthesisDataModule, evaluation: Evaluation, directory: Path
) -> dict[str, float]:
    """Scores of a method on the test split, which are also written to a directory."""
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        logger=False,
        callbacks=[evaluation],
        default_root_dir=directory,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.test(method, data, verbose=False)
    return dict(evaluation.scores)


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


def main(experiment: Path, weights: Path | None = None) -> None:
    """Measure by the evaluation of an experiment, without metrics whose weights are missing.

    Args:
        experiment: YAML file of the experiment.
        weights: Kept weights of a CLVAE; the photographs themselves if not given.
    """
    data = open_data(experiment)
    settings: Any = OmegaConf.to_container(OmegaConf.load(experiment), resolve=True)
    evaluation = settings["evaluation"]
    recipes = [
        partial(getattr(semsynth.metrics, metric["class_path"]), **metric["init_args"])
        for metric in evaluation["metrics"]
    ]
    with TemporaryDirectory() as directory:
        if weights is None:
            scores = measure_photos(data, build_metrics(recipes)[0], Path(directory))
        else:
            measured = Evaluation(recipes, evaluation["num_samples"], on_missing_weights="skip")
            scores = test(load_trained(weights)[0], data, measured, Path(directory))
    print_json(data=scores)


if __name__ == "__main__":
    auto_cli(main)
