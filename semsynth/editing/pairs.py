"""Pairs of one generator's images with the motion between them (Endo, CGF 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import MotionEstimator
from semsynth.networks.noise import hash_int64, seeded_normal, seeded_uniform
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

Batch = dict[str, Any]


def default_canvas(generator: StyleGAN2Generator) -> int:
    """Height and width of the canvas: the paper's 256, or a smaller image's."""
    return min(256, generator.image_size)


class PairRenderer:
    """Draws an image, moves its first latents, draws it again and estimates the motion.

    Each of the first latents moves part of the way towards its own random latent; the others stay.
    Only the mapping network sees the random latents.

    Args:
        generator: The prior, frozen.
        estimator: Estimates the motion, on the canvas.
        num_tokens: Number of first latents that move.
        perturbation: Range of the fraction of the way, drawn uniformly.
        truncation: Truncation of the first image.
        feature_resolution: Resolution of the features that are read at marks.
        canvas_size: Height and width at which motion is estimated and given.
        grid_size: Rows and columns of the grid on which motion and features are stored.
        centred: Move latents by a fraction of the random latents' deviation from the mean, not
            towards them, which also pulls all images towards the mean one.
        shared: Draw one random latent for all layers, not one for each.
        normalise_layers: Parity with the released code, which normalises the random z over layers
            instead of channels.
    """

    def __init__(
        self,
        generator: StyleGAN2Generator,
        estimator: MotionEstimator,
        num_tokens: int = 6,
        perturbation: Sequence[float] = (0.1, 0.1),
        truncation: float = 0.3,
        feature_resolution: int = 64,
        canvas_size: int = 256,
        grid_size: int = 16,
        normalise_layers: bool = False,
        centred: bool = False,
        shared: bool = False,
    ) -> None:
        check_sizes(generator, num_tokens, feature_resolution, canvas_size, grid_size)
        low, high = perturbation
        if not 0 < low <= high <= 1:
            raise ValueError(f"perturbation must be LOW, HIGH in (0, 1], got {list(perturbation)}.")
        self.generator = generator
        self.estimator = estimator
        self.num_tokens = num_tokens
        self.low, self.high = low, high
        self.truncation = truncation
        self.feature_resolution = feature_resolution
        self.canvas_size = canvas_size
        self.grid_size = grid_size
        self.normalise_layers = normalise_layers
        self.centred = centred
        self.shared = shared

    @torch.no_grad()
    def __call__(self, seed: Tensor) -> Batch:
        """Render pairs.

        Args:
            seed: Seeds (B,), as of ``sample_seed``.

        Returns:
            ``w`` (B, w_dim), the first image's latent; ``w_target`` (B, num_tokens, w_dim), the
            first latents of the second; and on the grid (g, g) ``features`` (B, C, g, g) of the
            first image, ``flow`` (B, 2, g, g) in pixels of the canvas, ``log_expansion``
            (B, 1, g, g) and ``valid`` (B, 1, g, g), bool.
        """
        w, w_target = self.latents(seed)
        before = self.generator.repeat(w)
        after = torch.cat([w_target, before[:, self.num_tokens :]], 1)
        return {"w": w, "w_target": w_target, **self.compare(before, after)}

    @torch.no_grad()
    def compare(self, before: Tensor, after: Tensor) -> Batch:
        """Draw two latents (B, num_ws, w_dim) each: what ``__call__`` returns on the grid."""
        image, features = self.generator.synthesis.image_and_features(
            torch.cat([before, after]), self.feature_resolution
        )
        motion = self.estimator(*on_canvas(image, self.canvas_size).chunk(2))
        step = self.canvas_size // self.grid_size
        rows = torch.arange(self.grid_size, device=before.device) * step
        cells = (rows * self.feature_resolution).div(self.canvas_size, rounding_mode="floor")
        return {
            "features": features[: len(before)][:, :, cells][..., cells],
            "flow": motion.flow[:, :, ::step, ::step].float(),
            "log_expansion": motion.log_expansion[:, :, ::step, ::step].float(),
            "valid": motion.valid[:, :, ::step, ::step],
        }

    def latents(self, seed: Tensor) -> tuple[Tensor, Tensor]:
        """A latent w (B, w_dim), and where its first copies move (B, num_tokens, w_dim)."""
        G, T = self.generator, self.num_tokens
        z = seeded_normal(seed, 1 + G.num_ws, G.z_dim)
        w = G.truncate(G.mapping(z[:, 0]), self.truncation)
        axis = 1 if self.normalise_layers else -1
        other = G.mapping(z[:, 1:], axis)[:, :T]
        if self.shared:
            other = other[:, :1].expand(-1, T, -1)
        share = seeded_uniform(hash_int64(seed), 1, 1).to(w.dtype)
        origin = G.mean_latent if self.centred else w[:, None]
        return w, w[:, None] + (self.low + (self.high - self.low) * share) * (other - origin)


def check_sizes(
    generator: StyleGAN2Generator,
    num_tokens: int,
    feature_resolution: int,
    canvas_size: int,
    grid_size: int,
) -> None:
    """Refuse inconsistent sizes."""
    size = generator.image_size
    if not 1 <= num_tokens < generator.num_ws:
        raise ValueError(
            f"num_tokens must be from 1 to {generator.num_ws - 1}, for the generator has "
            f"{generator.num_ws} latents; got {num_tokens}."
        )
    if size % canvas_size or canvas_size % grid_size or canvas_size % feature_resolution:
        raise ValueError(
            "Sizes must be multiples: image_size of canvas_size, and canvas_size of grid_size and "
            f"of feature_resolution; got {size}, {canvas_size}, {grid_size}, {feature_resolution}."
        )


def on_canvas(image: Tensor, canvas_size: int) -> Tensor:
    """Images (B, 3, H, H), averaged down to a canvas, in [-1, 1]."""
    image = image.float().clamp(-1, 1)
    return image if image.shape[-1] == canvas_size else F.adaptive_avg_pool2d(image, canvas_size)


def sums_of_squares(batch: Batch) -> tuple[Tensor, Tensor]:
    """Sums of squares (2,) of flow and log expansion over valid cells, and their counts (2,)."""
    valid = batch["valid"].double()
    squares = [(batch[k].double().square() * valid).sum() for k in ("flow", "log_expansion")]
    count = valid.sum()
    return torch.stack(squares), torch.stack([2 * count, count])
