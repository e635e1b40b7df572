"""Images of a batch that depend only on seed, sample and draw."""

from collections.abc import Collection
from typing import Any

from lightning import LightningModule, Trainer
from torch import Tensor

from semsynth.networks.noise import sample_seed

Batch = dict[str, Any]


def generate(
    trainer: Trainer, method: LightningModule, batch: Batch, seed: int, draw: int
) -> Tensor:
    """Images (B, 3, H, W), float32, from noise that depends only on seed, sample and draw."""
    seeded = {**batch, "seed": sample_seed(seed, batch["index"], draw)}
    with trainer.precision_plugin.forward_context():
        return method.predict_step(seeded, 0).float()


def supply(
    trainer: Trainer,
    method: LightningModule,
    batch: Batch,
    seed: int,
    num_samples: int,
    names: Collection[str],
) -> Batch:
    """What a method's ``supply`` returns for some names; empty without one."""
    if (own := getattr(method, "supply", None)) is None:
        return {}
    seeded = {**batch, "seed": sample_seed(seed, batch["index"]), "num_samples": num_samples}
    with trainer.precision_plugin.forward_context():
        return own(seeded, names)
