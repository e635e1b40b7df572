"""Random generators of small images, and files of them."""

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


def small_generator(mean_of: int = 500) -> StyleGAN2Generator:
    """A frozen generator of 16 x 16 images, whose latents have eight numbers."""
    torch.manual_seed(0)
    generator = StyleGAN2Generator(16, 8, 8, 2, 128, 8).eval().requires_grad_(False)
    generator.estimate_mean_latent(mean_of)
    return generator


def save_prior(path: Path, seed: int = 0, **changes: int) -> str:
    """A random generator of 32 x 32 images with eight latents, but for changes of its sizes."""
    torch.manual_seed(seed)
    sizes = SIZES | changes
    generator = StyleGAN2Generator(**sizes)
    generator.estimate_mean_latent(100)
    card = {"generator": sizes, "feature_resolution": 16, "style_layer": 4}
    save_generator(generator, path, card)
    return str(path)
