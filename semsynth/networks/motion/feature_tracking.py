"""Track points between two images by the features of their generator.

On images of a GAN the generator's features track points better than optical flow (DragGAN, Pan et
al., SIGGRAPH 2023, section 3.3). Here whole patches are compared, with sub-pixel accuracy.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import sample

PATCH = 3
"""Radius of the patches that a ``Follower`` compares, in pixels of the map."""
RING = 8
RING_RADIUS = 0.1
"""Number of points on the ring that measures scale, and its radius on the canvas."""
MARGIN = 3 / 64
"""How far beyond a request a ``Follower`` searches, as a fraction of the canvas."""


class Tracked(NamedTuple):
    """Result of tracking."""

    points: Tensor  # positions (B, K, 2) in pixels of the feature map, (x, y)
    similarity: Tensor  # mean cosine (B, K) between the patches there and the tracked ones


def patches_at(features: Tensor, points: Tensor, reach: int) -> Tensor:
    """Unit features around points (B, K, 2) of a map (B, C, h, w), for ``track``.

    With a side of P = 2 * reach + 1 pixels: (B, K, C, P, P).
    """
    return _window(features.float(), points, reach, 1)


def track(
    patches: Tensor, features: Tensor, around: Tensor, radius: Tensor, steps: int = 4
) -> Tracked:
    """Track patches, each within a square around its expected position.

    Args:
        patches: Patches (B, K, C, P, P) of ``patches_at``.
        features: Features (B, C, h, w) of the image to search.
        around: Expected positions (B, K, 2), in pixels of the map, (x, y).
        radius: Half the width of each square (B, K), in pixels of the map.
        steps: Sub-pixel steps along each axis.
    """
    B, K, _, P, _ = patches.shape
    reach = math.ceil(radius.amax().item() * steps)  # in steps
    margin = steps * (P // 2)  # the outermost patches extend half their width beyond the square
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
    """Tracks marked points by features, and the scale around them by a ring of points.

    Args:
        landmarks: Features (B, C, h, w) of the images before the edit.
        points: Points (B, K, 2) in pixels of the canvas, (x, y).
        size: Height and width of the canvas.
        with_scale: Also measure the scale, at nine times the cost.
    """

    def __init__(self, landmarks: Tensor, points: Tensor, size: int, with_scale: bool) -> None:
        self.points = points
        self.size = size
        self.ratio = landmarks.shape[-1] / size
        self.ring = ring_of(size, points.device) if with_scale else points.new_zeros(1, 2)
        self.patches = patches_at(landmarks, self._on_map(self._spots(None)), PATCH)

    def find(self, landmarks: Tensor, start: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Search for the points between two positions each, with a margin.

        Args:
            landmarks: Features (B, C, h, w) of the images after the edit.
            start: Motions (B, K, 3) already done: flow (x, y) in pixels of the canvas and log
                expansion.
            target: Requested motions (B, K, 3).

        Returns:
            Achieved motions (B, K, 3), and similarity (B, K) of the matches.
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
    """Unit features (B, K, C, n, n) of n = 2 reach + 1 positions per side, ``steps`` per pixel."""
    step = torch.arange(-reach, reach + 1, device=points.device) / steps
    offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1)  # (n, n, 2)
    found = sample(features, points[:, :, None] + offset.view(-1, 2), "border")  # (B, C, K, n * n)
    # Normalised last: interpolation shortens vectors, which would favour whole pixels
    found = F.normalize(found, dim=1).transpose(1, 2)
    return found.unflatten(3, (len(step), len(step)))
