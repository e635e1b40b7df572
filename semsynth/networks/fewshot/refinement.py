"""Move the coarse styles of a code until the features agree with a label map.

Endo and Kanamori, "Controlling StyleGANs Using Rough Scribbles via One-shot Learning", CGI 2022.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

NUM_SAMPLES = 1024  # of the released code

CodeLoss = Callable[[Tensor], Tensor]
"""Losses (B,) of latents (B, num_ws, w_dim), differentiable."""


class Directions(NamedTuple):
    """Principal directions of W, those of the largest variance first."""

    mean: Tensor  # mean of the latents (w_dim,)
    basis: Tensor  # orthonormal directions (num_directions, w_dim)
    variance: Tensor  # along each (num_directions,)


class Refined(NamedTuple):
    """Result of refinement."""

    w_plus: Tensor  # latents (B, num_ws, w_dim)
    first: Tensor  # losses (B,) before the first step
    last: Tensor  # losses (B,) before the last step


@torch.no_grad()
def principal_directions(generator: StyleGAN2Generator, count: int = 8) -> Directions:
    """Principal directions of the latents of 1,024 fixed samples."""
    seeds = torch.arange(NUM_SAMPLES, device=generator.mean_latent.device)
    w = generator.mapping(seeded_normal(seeds, generator.z_dim))
    mean = w.mean(0)
    covariance = (w - mean).t() @ (w - mean) / NUM_SAMPLES
    variance, vectors = torch.linalg.eigh(covariance)  # ascending
    return Directions(mean, vectors.t().flip(0)[:count], variance.flip(0)[:count])


def refine(
    w_plus: Tensor,
    directions: Directions,
    loss: CodeLoss,
    num_coarse: int,
    shared: bool = True,
    steps: int = 201,
    lr: float = 0.05,
    prior_weight: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Refined:
    """Refine codes, all images of a batch at once but independently.

    Args:
        w_plus: Latents (B, num_ws, w_dim).
        directions: Directions of change.
        loss: The objective, never called in inference mode.
        num_coarse: Number of latents that move, from the first.
        shared: One vector for all, starting from the first, as in the paper; or one for each.
        steps: Steps of Adam.
        lr: Its learning rate.
        prior_weight: Weight of the mean squared Mahalanobis distance from the mean latent.
        progress: Called after each step with the number of steps done and in total.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        w_plus = w_plus.detach().clone()  # outside of inference mode, for autograd
        start = w_plus[:, :1] if shared else w_plus[:, :num_coarse]
        offset = torch.zeros(*start.shape[:2], len(directions.basis), device=w_plus.device)
        offset.requires_grad_()
        optimizer = Adam([offset], lr)
        at_start = (start - directions.mean) @ directions.basis.t()

        def moved() -> Tensor:
            coarse = (start + offset @ directions.basis).expand(-1, num_coarse, -1)
            return torch.cat([coarse, w_plus[:, num_coarse:]], 1)

        losses = first = torch.zeros(len(w_plus), device=w_plus.device)
        for step in range(steps):
            losses = loss(moved())
            if prior_weight:
                distance = ((at_start + offset).square() / directions.variance).sum(2).mean(1)
                losses = losses + prior_weight * distance
            if step == 0:
                first = losses.detach()
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            if progress is not None:
                progress(step + 1, steps)
        return Refined(moved().detach(), first, losses.detach())
