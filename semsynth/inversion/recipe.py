"""Inversion recipes: those of the papers and a better one."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """A recipe of inversion.

    Attributes:
        stages: The spaces in which latents are optimised, in this order, with their steps.
        optimizer: ``adam`` with a learning rate that rises and falls, or ``ranger`` at a fixed one.
        lr: Largest learning rate.
        start_noise: Standard deviation of the start around the mean latent, per element.
        latent_noise: Noise on the latents in the first stage, as a share of their spread, which
            falls to zero over three quarters of the steps.
        noise: Noise maps of the generator: resampled at each step, those stored with it, or
            optimised together with the latents and returned.
        noise_weight: Weight of the regulariser that keeps optimised noise maps white.
        scales: Resolutions at which pixels are compared: full, half, quarter and so on.
        perceptual_weight: Weight of the perceptual distance.
        check_every: Steps between comparisons with the best latents so far.
        starts: Number of initial latents, the mean and the nearest of some samples; the best is
            kept after the first stage. For images far from the mean.
    """

    stages: tuple[tuple[Literal["w", "w_plus"], int], ...]
    optimizer: Literal["adam", "ranger"]
    lr: float
    start_noise: float
    latent_noise: float
    noise: Literal["random", "stored", "optimised"]
    noise_weight: float
    scales: int
    perceptual_weight: float
    check_every: int
    starts: int = 1

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise ValueError(f"starts must be at least 1, got {self.starts}.")


def default_recipe(steps: int = 1000) -> Recipe:
    """Two fifths of the steps in W from the mean latent, the rest in W+."""
    in_w = round(0.4 * steps)
    return Recipe(
        stages=(("w", in_w), ("w_plus", steps - in_w)),
        optimizer="adam",
        lr=0.1,
        start_noise=0.0,
        latent_noise=0.05,
        noise="optimised",
        noise_weight=1e5,
        scales=3,
        perceptual_weight=1.0,
        check_every=10,
    )


def upstream_recipe(steps: int = 2000) -> Recipe:
    """Ranger at a rate of 1 in W+ from near the mean latent, the best of every 50th step."""
    return Recipe(
        stages=(("w_plus", steps),),
        optimizer="ranger",
        lr=1.0,
        start_noise=1.0,
        latent_noise=0.0,
        noise="random",
        noise_weight=0.0,
        scales=1,
        perceptual_weight=0.8,
        check_every=50,
    )
