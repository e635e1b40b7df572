"""The terms of an inversion's loss, and how its steps and noise change over time."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

COMPARE_AT = 256  # both papers downsample larger images to this size


def resize(image: Tensor, size: int) -> Tensor:
    """Images (B, 3, H, W), resized if necessary."""
    if image.shape[-2:] == (size, size):
        return image
    return F.interpolate(image, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)


def comparable(image: Tensor) -> Tensor:
    """Images (B, 3, H, W) averaged down to the size of comparison, if they are larger."""
    if image.shape[-1] <= COMPARE_AT:
        return image
    return F.adaptive_avg_pool2d(image, COMPARE_AT)


def pixel_error(image: Tensor, target: Tensor, scales: int) -> Tensor:
    """Mean squared error (B,), averaged over the scales of an image pyramid."""
    error = torch.zeros(len(image), device=image.device)
    for scale in range(scales):
        if scale:
            image, target = F.avg_pool2d(image, 2), F.avg_pool2d(target, 2)
        error = error + (image - target).square().mean((1, 2, 3)) / scales
    return error


@torch.no_grad()
def latent_spread(generator: StyleGAN2Generator, num_samples: int = 4096) -> Tensor:
    """Root mean squared distance of latents from their mean, the scale of W."""
    seeds = torch.arange(num_samples, device=generator.mean_latent.device)
    w = generator.mapping(seeded_normal(seeds, generator.z_dim))
    return (w - generator.mean_latent).square().sum(1).mean().sqrt()


def lr_factor(t: float) -> float:
    """Rise over 5 % of the steps, fall as a cosine over the last 25 %; t is in [0, 1)."""
    fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / 0.25))
    return fall * min(1.0, t / 0.05)


def noise_factor(t: float) -> float:
    """Falls from 1 to 0 over three quarters of the steps; t is in [0, 1)."""
    return max(0.0, 1 - t / 0.75) ** 2


def noise_correlation(noise: Sequence[Tensor]) -> Tensor:
    """Squared correlation of noise maps (B, 1, H, W) with themselves moved by a pixel.

    Summed over maps, images and an image pyramid down to 8x8, in which white noise stays white.
    """
    total = torch.zeros((), device=noise[0].device if noise else None)
    for level in noise:
        while True:
            for axis in (2, 3):
                total = total + (level * level.roll(1, axis)).mean((1, 2, 3)).square().sum()
            if level.shape[-1] <= 8:
                break
            level = F.avg_pool2d(level, 2) * 2  # keeps the variance of independent pixels
    return total


@torch.no_grad()
def normalise(noise: Sequence[Tensor]) -> None:
    """Bring each noise map back to zero mean and unit variance."""
    for level in noise:
        level -= level.mean((1, 2, 3), keepdim=True)
        level *= level.square().mean((1, 2, 3), keepdim=True).clamp_min(1e-12).rsqrt()
