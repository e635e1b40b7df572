"""Find the latents of given images: inversion of a StyleGAN2 by optimisation."""

import math
from collections.abc import Callable
from dataclasses import InitVar, dataclass

import torch
from torch import Tensor
from torch.optim import Adam

from semsynth.inversion.recipe import Recipe, default_recipe
from semsynth.inversion.terms import (
    comparable,
    latent_spread,
    lr_factor,
    noise_correlation,
    noise_factor,
    normalise,
    pixel_error,
    resize,
)
from semsynth.losses.ranger import Ranger
from semsynth.networks.noise import sample_seed, seeded_normal
from semsynth.networks.stylegan2.generator import Noise, StyleGAN2Generator

CANDIDATES = 256  # samples to choose starts from

Distance = Callable[[Tensor, Tensor], Tensor]
"""Perceptual distance (B,), differentiable, of two batches of images (B, 3, H, W) in [-1, 1]."""


@dataclass
class Inversion:
    """Latents of images and how well they reproduce them.

    Attributes:
        w_plus: Latents (B, num_ws, w_dim).
        noise: Noise maps (B, 1, H, W) for ``synthesis``, or ``stored``.
        image: The images that they give (B, 3, H, W) in [-1, 1].
        mse: Mean squared error of each (B,), at the size of comparison.
        perceptual: Perceptual distance of each (B,); NaN without one.
    """

    w_plus: Tensor
    noise: Noise
    image: Tensor
    mse: Tensor
    perceptual: Tensor


def invert(
    generator: StyleGAN2Generator,
    image: Tensor,
    recipe: Recipe | None = None,
    distance: Distance | None = None,
    seed: int = 0,
    index: Tensor | None = None,
    progress: Callable[[int, Tensor], None] | None = None,
) -> Inversion:
    """Find latents that reproduce images, all images of a batch at once but independently.

    Args:
        generator: The generator, with its mean latent; its weights are not changed.
        image: Images (B, 3, H, W) in [-1, 1], resized if the generator's have another size.
        recipe: The recipe; by default ``default_recipe``.
        distance: Perceptual distance; without one only pixels are compared.
        seed: Seed of start and noise.
        index: Ids of the images (B,), int64, which with the seed determine their noise, so that the
            result for an image does not depend on the others; by default positions in the batch.
        progress: Called after each step with its number and the losses (B,).
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image must have shape (B, 3, H, W), got {tuple(image.shape)}.")
    index = torch.arange(len(image), device=image.device) if index is None else index
    search = _Search(generator, image, recipe or default_recipe(), distance, seed, index, progress)
    if search.recipe.starts > 1:
        search.spread_starts()
    with torch.enable_grad():
        for space, steps in search.recipe.stages:
            search.run(space, steps)
            search.keep_best_start()
    return search.result()


@dataclass
class _Search:
    """The state of one inversion; the arguments are those of ``invert``."""

    generator: StyleGAN2Generator
    image: InitVar[Tensor]
    recipe: Recipe
    distance: Distance | None
    seed: int
    index: Tensor
    progress: Callable[[int, Tensor], None] | None

    def __post_init__(self, image: Tensor) -> None:
        generator, recipe = self.generator, self.recipe
        self.target = comparable(resize(image, generator.image_size))
        self.spread = latent_spread(generator)
        self.steps_done, self.starts = 0, 1
        B = len(image)
        self.w_plus = generator.repeat(generator.mean_latent.expand(B, -1)).clone()
        if recipe.start_noise:
            scale = recipe.start_noise / math.sqrt(generator.w_dim)
            self.w_plus += scale * self._normal(*self.w_plus.shape[1:])
        self.noise: list[Tensor] = []
        if recipe.noise == "optimised":
            maps = [noise.expand(B, -1, -1, -1) for noise in generator.synthesis.stored_noise()]
            self.noise = [noise.clone().requires_grad_() for noise in maps]
        self.best_loss = torch.full((B,), math.inf, device=image.device)
        self.best = (self.w_plus.clone(), [noise.detach().clone() for noise in self.noise])

    @torch.no_grad()
    def spread_starts(self) -> None:
        """Also start from the nearest of some samples."""
        self.starts = self.recipe.starts
        near = self._nearest_samples(self.starts - 1)
        starts = torch.cat([self.w_plus[:, None], near], 1).flatten(0, 1)
        self._select(torch.arange(len(self.w_plus)).repeat_interleave(self.starts))
        self.w_plus = starts
        self.best = (starts.clone(), self.best[1])

    def keep_best_start(self) -> None:
        """Keep the best of each image's starts."""
        if self.starts > 1:
            best = self.best_loss.view(-1, self.starts).argmin(1)
            first = torch.arange(len(best), device=best.device) * self.starts
            self._select(first + best)
            self.starts = 1

    def run(self, space: str, steps: int) -> None:
        """Optimise in one space, from the current state."""
        start = self.w_plus.mean(1, keepdim=True) if space == "w" else self.w_plus
        latent = start.clone().requires_grad_()
        kind = {"adam": Adam, "ranger": Ranger}[self.recipe.optimizer]
        optimizer = kind([latent, *self.noise], lr=self.recipe.lr)
        for step in range(steps):
            if self.recipe.optimizer == "adam":
                optimizer.param_groups[0]["lr"] = self.recipe.lr * lr_factor(step / steps)
            noisy = latent
            if space == "w" and self.recipe.latent_noise:
                strength = self.recipe.latent_noise * self.spread * noise_factor(step / steps)
                noisy = latent + strength * self._normal(*latent.shape[1:])
            losses = self._losses(noisy, self._noise())
            regulariser = self.recipe.noise_weight * noise_correlation(self.noise)
            optimizer.zero_grad()
            (losses.sum() + regulariser).backward()
            optimizer.step()
            normalise(self.noise)
            self._after_step(latent, losses.detach(), last=step == steps - 1)
        self.w_plus = self.best[0]

    def result(self) -> Inversion:
        """The best latents, with the errors of their images."""
        w_plus, maps = self.best
        noise: Noise = maps or "stored"
        with torch.no_grad():
            image = self.generator.synthesis(w_plus, noise)
            shown = comparable(image)
            mse = pixel_error(shown, self.target, 1)
            perceptual = torch.full_like(mse, math.nan)
            if self.distance is not None:
                perceptual = self.distance(shown, self.target)
        return Inversion(w_plus, noise, image.clamp(-1, 1), mse, perceptual)

    def _nearest_samples(self, count: int) -> Tensor:
        """Latents (B, count, num_ws, w_dim) of the samples with the smallest losses."""
        seeds = torch.arange(max(CANDIDATES, count), device=self.target.device)
        w = self.generator.mapping(seeded_normal(seeds, self.generator.z_dim))
        draw = self.generator.synthesis
        images = [comparable(draw(self.generator.repeat(x), "stored")) for x in w.split(8)]
        losses = [
            torch.cat([self._errors(x, target.expand_as(x)) for x in images])
            for target in self.target.split(1)
        ]
        nearest = torch.stack(losses).topk(count, largest=False).indices
        return self.generator.repeat(w[nearest.flatten()]).unflatten(0, nearest.shape)

    def _select(self, rows: Tensor) -> None:
        """Keep these rows of all state per search."""
        rows = rows.to(self.target.device)
        self.target, self.index = self.target[rows], self.index[rows]
        self.w_plus, self.best_loss = self.w_plus[rows], self.best_loss[rows]
        self.best = (self.best[0][rows], [noise[rows] for noise in self.best[1]])
        self.noise = [noise.detach()[rows].requires_grad_() for noise in self.noise]

    def _losses(self, latent: Tensor, noise: Noise) -> Tensor:
        num_ws = self.generator.num_ws
        image = comparable(self.generator.synthesis(latent.expand(-1, num_ws, -1), noise))
        return self._errors(image, self.target)

    def _errors(self, image: Tensor, target: Tensor) -> Tensor:
        losses = pixel_error(image, target, self.recipe.scales)
        if self.distance is not None and self.recipe.perceptual_weight:
            losses = losses + self.recipe.perceptual_weight * self.distance(image, target)
        return losses

    def _after_step(self, latent: Tensor, losses: Tensor, last: bool) -> None:
        self.steps_done += 1
        if self.progress is not None:
            self.progress(self.steps_done, losses.view(-1, self.starts).amin(1))
        if self.steps_done % self.recipe.check_every and not last:
            return
        with torch.no_grad():
            losses = self._losses(latent, self.noise or "stored")
            better = losses < self.best_loss
            self.best_loss = torch.where(better, losses, self.best_loss)
            pairs = zip([self.best[0], *self.best[1]], [latent, *self.noise], strict=True)
            for kept, current in pairs:
                where = better.view(-1, *[1] * (kept.ndim - 1))
                kept.copy_(torch.where(where, current, kept))

    def _noise(self) -> Noise:
        if self.recipe.noise != "random":
            return self.noise or "stored"
        shapes = [noise.shape[1:] for noise in self.generator.synthesis.stored_noise()]
        flat = self._normal(sum(math.prod(shape) for shape in shapes))
        parts = flat.split([math.prod(shape) for shape in shapes], dim=1)
        return [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]

    def _normal(self, *shape: int) -> Tensor:
        """Noise that depends on seed, image and step."""
        return seeded_normal(sample_seed(self.seed, self.index, self.steps_done), *shape)
