"""The canvas of edits: a generator, the square on which marks are made, and its features."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import Hold, StyleGAN2Generator

TRACKING_RESOLUTION = 64


class Editor(Protocol):
    """Anything that moves the content of images by marks, such as UserControllableLT."""

    def edit(
        self,
        w_plus: Tensor,
        features: Tensor,
        points: Tensor,
        motions: Tensor,
        points_mask: Tensor,
        /,
    ) -> Tensor:
        """Move content.

        Args:
            w_plus: Latents (B, num_ws, w_dim).
            features: The generator's features (B, C, h, w), as of ``Canvas.features``.
            points: Positions (B, K, 2) in pixels of the canvas, (x, y).
            motions: Flow (x, y) in pixels of the canvas and log expansion, negative to come closer
                (B, K, 3). 0 is an anchor, which stays.
            points_mask: Which of the points exist (B, K), bool.

        Returns:
            Latents (B, num_ws, w_dim).
        """
        ...


@dataclass(frozen=True)
class Canvas:
    """A generator with the square on which a user marks its images.

    Noise maps are always those stored with the generator: noise fitted to one image would stay in
    place while its content moves.

    Attributes:
        generator: The generator, frozen.
        size: Height and width in which points and motions are given, whatever the image's.
        feature_resolution: Features that an editor reads.
        num_tokens: Number of first latents that a drag may change; the others are style.
        hold: What stays as it is in all images of this canvas (see ``held``).
    """

    generator: StyleGAN2Generator
    size: int
    feature_resolution: int
    num_tokens: int
    hold: Hold | None = None

    @classmethod
    def of(cls, method: Any) -> Self:
        """The canvas of a method such as UserControllableLT."""
        return cls(
            method.generator, method.canvas_size, method.feature_resolution, method.num_tokens
        )

    @property
    def tolerance(self) -> float:
        """Distance in pixels within which a point has arrived: a 64th of the canvas."""
        return self.size / 64

    def sample(self, seed: int, truncation: float) -> Tensor:
        """Latents (1, num_ws, w_dim) of a seed."""
        G = self.generator
        seeds = torch.tensor([seed], device=G.mean_latent.device)
        return G.repeat(G.truncate(G.mapping(seeded_normal(seeds, G.z_dim)), truncation))

    def held(self, w_plus: Tensor, region: Tensor) -> Self:
        """A canvas whose images stay as those of latents outside of a region.

        The images are blended inside the generator, at the last resolution whose convolutions
        drags change: the outside keeps its features and colours, and finer layers join the two.

        Args:
            w_plus: Latents (B, num_ws, w_dim), drawn as on this canvas.
            region: What may change on the canvas (B, 1, size, size), 1 inside.
        """
        synthesis = self.generator.synthesis
        # Latents 2 i - 1 and 2 i are those of the convolutions of resolution i.
        resolution = synthesis.resolutions[self.num_tokens // 2]
        hold = synthesis.hold(w_plus, region, resolution, self.hold)
        return replace(self, hold=hold)

    def draw(self, w_plus: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1], float32."""
        return self.generator.synthesis(w_plus, hold=self.hold).clamp(-1, 1)

    def features(self, w_plus: Tensor) -> Tensor:
        """Features (B, C, h, w) that an editor reads."""
        synthesis = self.generator.synthesis
        return synthesis.features(w_plus, self.feature_resolution, hold=self.hold)

    def landmarks(self, w_plus: Tensor) -> Tensor:
        """Features (B, C, h, w) that track points."""
        synthesis = self.generator.synthesis
        return synthesis.features(w_plus, self._tracking_resolution, hold=self.hold)

    def draw_with_landmarks(self, w_plus: Tensor) -> tuple[Tensor, Tensor]:
        """Results of ``draw`` and ``landmarks``, from one pass."""
        image, landmarks = self.generator.synthesis.image_and_features(
            w_plus, self._tracking_resolution, hold=self.hold
        )
        return image.clamp(-1, 1), landmarks

    @property
    def _tracking_resolution(self) -> int:
        return min(TRACKING_RESOLUTION, self.generator.image_size)
