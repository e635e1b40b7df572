"""The best achievable scores on the toy world, whose renderer is known.

The oracle redraws the appearance of each test layout; its diversity and layout fidelity are upper
bounds. What compares two sets of images is measured between the test images and as many others.
``python -m benchmarks.studies.oracle toy_street`` prints all.
"""

import inspect
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import auto_cli
from lightning import Trainer
from lightning.pytorch.cli import instantiate_class
from rich.console import Console
from torch import Tensor

from semsynth.callbacks import Evaluation
from semsynth.data.toy import ToyDataModule
from semsynth.methods.base import Batch, Method
from semsynth.metrics import ImageMetric
from semsynth.networks.clvae.encoder import draw_class

WORLDS = {"toy_portrait": "ToyPortrait", "toy_street": "ToyStreet"}
World = Literal["toy_portrait", "toy_street"]
METRICS = {
    "FrechetDistance": "extractor",
    "KernelDistance": "extractor",
    "PrecisionRecall": "extractor",
    "Diversity": "features",
    "Top1Similarity": "features",
    "LayoutFidelity": "segmenter",
}
"""Metrics of the command, and how each calls its network."""


class Oracle(Method):
    """Renders the layouts of the batch with other appearances."""

    def __init__(self, data: ToyDataModule) -> None:
        super().__init__()
        self.data = data

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of the layouts that ``index`` names."""
        return self.data.render_like("test", batch["index"], self.appearance_seed(batch))

    def supply(self, batch: Batch, names: Collection[str]) -> Batch:
        """``varied``: the same images with one class redrawn, whose looks depend on no other's."""
        if "varied" not in names:
            return {}
        varied_class = draw_class(batch["mask"], batch["seed"], self.data.num_classes)
        seed = self.appearance_seed(batch)
        images = [
            self.data.render_like("test", batch["index"], seed, (varied_class, seed + 1 + i))
            for i in range(batch["num_samples"])
        ]
        return {"varied": torch.stack(images, 1), "varied_class": varied_class}

    def appearance_seed(self, batch: Batch) -> int:
        """Never the data's own seed, which would give the real images back."""
        return self.data.seed + 1 + int(batch["seed"][0]) % (1 << 31)


def data_key(config: dict[str, Any]) -> str:
    """What identifies the data of a run's configuration."""
    return f"{config['data']['class_path']} {sorted(config['data']['init_args'].items())}"


def exists_for(config: dict[str, Any]) -> bool:
    """Whether the data of a run's configuration come from a known renderer."""
    return config["data"]["class_path"].rsplit(".", 1)[-1] in WORLDS.values()


def measure(config: dict[str, Any], directory: Path) -> dict[str, float]:
    """Scores of the oracle under the evaluation of a run, which are also written to a directory."""
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
        enable_progress_bar=False,
    )
    trainer.test(Oracle(data), data, verbose=False)
    scores = dict(evaluation.scores)
    arguments = config["data"]["init_args"] | {"seed": data.seed + 1}
    others = instantiate_class((), config["data"] | {"init_args": arguments})
    for metric in metrics:
        if inspect.signature(metric.update).parameters.keys() == {"image", "fake"}:
            scores |= between_real_images(metric, data, others)
    return scores


@torch.no_grad()
def between_real_images(
    metric: ImageMetric, data: ToyDataModule, others: ToyDataModule
) -> dict[str, float]:
    """Scores of as many others, of the same world by another seed, against the test images."""
    metric.reset()
    metric.load_real_state(None)
    for module in (data, others):
        module.setup("test")
    for batch, other in zip(data.test_dataloader(), others.test_dataloader(), strict=True):
        real, fake = (data.on_after_batch_transfer(b, 0)["image"] for b in (batch, other))
        metric.update(image=real, fake=fake)
    return {name: float(value) for name, value in metric.compute().items()}


def config_of(world: World, test_size: int, num_samples: int, image_size: int) -> dict[str, Any]:
    """A configuration that evaluates a toy world by all metrics."""
    metrics = [
        {"class_path": f"semsynth.metrics.{name}", "init_args": {argument: world}}
        for name, argument in METRICS.items()
    ]
    size = {"test_size": test_size, "image_size": image_size}
    return {
        "data": {"class_path": f"semsynth.data.{WORLDS[world]}", "init_args": size},
        "evaluation": {"metrics": metrics, "num_samples": num_samples},
    }


def main(world: World, test_size: int = 256, num_samples: int = 4, image_size: int = 64) -> None:
    """Print the scores of a toy world's oracle by all metrics, ``num_samples`` for each mask."""
    config = config_of(world, test_size, num_samples, image_size)
    with tempfile.TemporaryDirectory() as directory:
        scores = measure(config, Path(directory))
    console = Console()
    console.print(f"Oracle of {world}: {test_size} masks, {num_samples} samples")
    for name, value in scores.items():
        console.print(f"{name:24} {value:.6g}")


if __name__ == "__main__":
    auto_cli(main)
