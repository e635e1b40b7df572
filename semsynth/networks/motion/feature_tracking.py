"""Find points of one image again in another by the features of the generator that drew both.

On images of a GAN the generator's own features find a point better than optical flow does (DragGAN,
Pan et al., SIGGRAPH 2023, section 3.3). Here a whole patch is compared, between pixels too.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import sample

PATCH = 3
"""Reach of the patches that a ``Follower`` compares, in pixels of the map."""
RING = 8
RING_RADIUS = 0.1
"""Points around a zoomed one by which its scale is measured, and their distance on the canvas."""
MARGIN = 3 / 64
"""How far beyond a request a ``Follower`` looks, as a part of the canvas."""


class Tracked(NamedTuple):
    """Where points were found."""

    points: Tensor  # positions (B, K, 2) in pixels of the feature map, (x, y)
    similarity: Tensor  # mean cosine (B, K) of the patches there and of those looked for


def patches_at(features: Tensor, points: Tensor, reach: int) -> Tensor:
    """Unit features around points (B, K, 2) of a map (B, C, h, w), which ``track`` looks for.

    With P = 2 * reach + 1 pixels a side: (B, K, C, P, P).
    """
    return _window(features.float(), points, reach, 1)


def track(
    patches: Tensor, features: Tensor, around: Tensor, radius: Tensor, steps: int = 4
) -> Tracked:
    """Find patches again, each within a square around the place where it is expected.

    Args:
        patches: Patches (B, K, C, P, P) of ``patches_at``.
        features: Features (B, C, h, w) of the image to search.
        around: Expected places (B, K, 2), in pixels of the map, (x, y).
        radius: Half the width of each square (B, K), in pixels of the map.
        steps: Places tried within a pixel, along each axis.
    """
    B, K, _, P, _ = patches.shape
    reach = math.ceil(radius.amax().item() * steps)  # in steps
    margin = steps * (P // 2)  # the outermost patches lie half their width beyond the square
    with torch.autocast(features.device.type, enabled=False):
        window = _window(features.float(), around, reach + margin, steps)  # (B, K, C, n, n)
        similarity = F.conv2d(
            window.flatten(0, 2)[None], patches.flatten(0, 1), dilation=steps, groups=B * K
        )
    n = 2 * reach + 1
    step = torch.arange(-reach, reach + 1, device=features.device) / steps
    offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1).view(-1, 2)
    outside = offset.abs().amax(dim=-1) > radius[..., None]  # (B, K, n * n)
    similarity = similarity.view(B, K, n * n) / P**2
    best, place = similarity.masked_fill(outside, -math.inf).max(dim=-1)
    return Tracked(around + offset[place], best)


class Follower:
    """Finds marked points again by features, and the scale around them by a ring of points.

    Args:
        landmarks: Features (B, C, h, w) of the images before the edit.
        points: Points (B, K, 2) in pixels of the canvas, (x, y).
        size: Height and width of the canvas.
        with_scale: Measure the scale too, at nine times the cost.
    """

    def __init__(self, landmarks: Tensor, points: Tensor, size: int, with_scale: bool) -> None:
        self.points = points
        self.size = size
        self.ratio = landmarks.shape[-1] / size
        self.ring = ring_of(size, points.device) if with_scale else points.new_zeros(1, 2)
        self.patches = patches_at(landmarks, self._on_map(self._spots(None)), PATCH)

    def find(self, landmarks: Tensor, start: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Look for the points between two places each, and somewhat beyond them.

        Args:
            landmarks: Features (B, C, h, w) of the images after the edit.
            start: Motions (B, K, 3) already done: flow (x, y) in pixels of the canvas and log
                expansion.
            target: Motions (B, K, 3) that were asked for.

        Returns:
            Motions (B, K, 3) that were done, and the similarity (B, K) of what was found.
        """
        a, b = self._spots(start), self._spots(target)
        reach = 0.75 * (a - b).abs().amax(dim=(1, 2)) + MARGIN * self.size  # anchors drift, too
        radius = reach[:, None].expand(a.shape[:2])
        found = track(self.patches, landmarks, self._on_map((a + b) / 2), radius * self.ratio)
        B, K, _ = self.points.shape
        spots = ((found.points + 0.5) / self.ratio - 0.5).view(B, K, -1, 2)
        done = torch.cat([spots[:, :, 0] - self.points, self._log_expansion(spots)], dim=-1)
        return done, found.similarity.view(B, K, -1)[..., 0]

    def _spots(self, motions: Tensor | None) -> Tensor:
        """The points and their rings (B, K * n, 2) after motions."""
        if motions is None:
            motions = torch.zeros_like(self.points[..., :1]).expand(-1, -1, 3)
        moved = self.points + motions[..., :2]
        scale = (-motions[..., 2:]).exp()
        return (moved[:, :, None] + scale[:, :, None] * self.ring).flatten(1, 2)

    def _on_map(self, points: Tensor) -> Tensor:
        return (points + 0.5) * self.ratio - 0.5

    def _log_expansion(self, spots: Tensor) -> Tensor:
        """Log expansion (B, K, 1) of the least-squares scale of rings (B, K, n, 2)."""
        if len(self.ring) == 1:
            return torch.zeros_like(spots[:, :, 0, :1])
        spread = spots - spots[:, :, 1:].mean(dim=2, keepdim=True)
        scale = (spread * self.ring).sum(dim=(2, 3)) / self.ring.square().sum()
        return -scale.clamp(min=math.exp(-2)).log()[..., None]


def ring_of(size: int, device: torch.device) -> Tensor:
    """A centre (0, 0) and points around it (1 + RING, 2), in pixels of the canvas."""
    angle = torch.arange(RING, device=device) * (2 * math.pi / RING)
    circle = RING_RADIUS * size * torch.stack([angle.cos(), angle.sin()], dim=-1)
    return torch.cat([circle.new_zeros(1, 2), circle])


def _window(features: Tensor, points: Tensor, reach: int, steps: int) -> Tensor:
    """Unit features (B, K, C, n, n) of n = 2 reach + 1 places a side, ``steps`` to a pixel."""
    step = torch.arange(-reach, reach + 1, device=points.device) / steps
    offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1)  # (n, n, 2)
    found = sample(features, points[:, :, None] + offset.view(-1, 2), "border")  # (B, C, K, n * n)
    # Made units only here: interpolation shortens vectors, and whole pixels would win
    found = F.normalize(found, dim=1).transpose(1, 2)
    return found.unflatten(3, (len(step), len(step)))
