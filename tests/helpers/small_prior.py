"""A random generator of 32 x 32 images, and what opens it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.priors import save_generator

SIZES: dict[str, Any] = {
    "image_size": 32,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "channel_base": 256,
    "channel_max": 8,
}


@pytest.fixture
def prior(tmp_path: Path) -> str:
    return save_prior(tmp_path / "prior.safetensors")


@pytest.fixture
def make_prior(tmp_path: Path) -> Callable[[int], str]:
    return lambda seed: save_prior(tmp_path / f"prior{seed}.safetensors", seed)


def save_prior(path: Path, seed: int = 0) -> str:
    """A random generator of 32 x 32 images with eight latents."""
    torch.manual_seed(seed)
    generator = StyleGAN2Generator(**SIZES)
    generator.estimate_mean_latent(100)
    save_generator(generator, path, {"generator": SIZES})
    return str(path)
