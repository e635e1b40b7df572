from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset

from semsynth.methods import CLVAE, StyleGAN2
from semsynth.networks.noise import sample_seed
from tests.helpers.checks import quiet_trainer
from tests.helpers.small_prior import prior  # noqa: F401  fixture

NUM_CLASSES = 4
SIZE = 64
Batch = dict[str, Any]


class RandomPairs(Dataset[Batch]):
    """Random images over masks of four quadrants."""

    def __init__(self, size: int = 8) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(size, 3, SIZE, SIZE, generator=generator) * 2 - 1
        quadrants = torch.arange(4).view(2, 2).repeat_interleave(32, 0).repeat_interleave(32, 1)
        self.mask = quadrants

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        return {"image": self.images[index], "mask": self.mask, "index": torch.tensor(index)}


def seeded(batch: Batch, draw: int = 0) -> Batch:
    return {**batch, "seed": sample_seed(0, batch["index"], draw)}


def tiny_clvae(**changes: Any) -> CLVAE:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"channels": 4, "spade_channels": 8, "discriminator_channels": 4}
    arguments |= {"z_dim": 8, "code_dim": 4, "encoder_size": 128, "perceptual_weight": 0.0}
    return CLVAE(NUM_CLASSES, (SIZE, SIZE), **(arguments | changes))


def tiny_stylegan2(**changes: Any) -> StyleGAN2:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "group_size": 2}
    arguments |= {"channel_base": 256, "channel_max": 8}
    arguments |= {"r1_interval": 2, "path_length_interval": 2}
    return StyleGAN2((SIZE, SIZE), **(arguments | changes))


@pytest.fixture
def loader() -> DataLoader[Batch]:
    return DataLoader(RandomPairs(), batch_size=2)


@pytest.fixture
def batch(loader: DataLoader[Batch]) -> Batch:
    return next(iter(loader))


@pytest.fixture
def train(loader: DataLoader[Batch], tmp_path: Any) -> Callable[..., Trainer]:
    """Train on the random pairs, on one CPU process and without output."""

    def fit(method: LightningModule, ckpt_path: str | None = None, **options: Any) -> Trainer:
        trainer = quiet_trainer(tmp_path, **({"max_steps": 2} | options))
        trainer.fit(method, loader, ckpt_path=ckpt_path)
        return trainer

    return fit
