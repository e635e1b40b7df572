"""Random user-like marks by seed, to measure edits with."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.motion.geometry import pixel_grid
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import hash_int64, seeded_uniform

APART = 12 / 64  # of the canvas: minimum distance of an anchor from the moving point
TRIES = 64


Accept = Callable[[Tensor, Tensor], Tensor]
"""Says which of the targets (B, T, 2) of points (B, 2) are allowed: (B, T), bool."""


def draw_drags(
    seed: Tensor,
    weight: Tensor,
    shortest: float,
    longest: float,
    num_anchors: int = 0,
    accept: Accept | None = None,
) -> Marks:
    """A drag for each image, with anchors: any length and direction that stays inside the image.

    Args:
        seed: Seeds (B,).
        weight: How likely each pixel of the canvas is to be marked (B, H, W), nonnegative.
        shortest: Length of the shortest drag in pixels.
        longest: Length of the longest one.
        num_anchors: Anchors, at some distance from the drag and drawn by the same weight.
        accept: Refuses more targets; an image without any left has a masked drag.
    """
    H, W = weight.shape[1:]
    start = draw_pixels(seed, weight, 1)  # (B, 1, 2)
    draws = seeded_uniform(hash_int64(seed + 1), 2, TRIES).float()
    length = shortest + (longest - shortest) * draws[:, 0]
    angle = 2 * torch.pi * draws[:, 1]
    flow = length[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)  # (B, TRIES, 2)
    target = start + flow
    limit = torch.tensor([W - 1, H - 1], device=seed.device)
    good = ((target >= 0) & (target <= limit)).all(dim=-1)
    if accept is not None:
        good = good & accept(start[:, 0], target)
    first = good.float().argmax(dim=1)
    chosen = flow.gather(1, first[:, None, None].expand(-1, 1, 2))
    motions = F.pad(chosen, (0, 1, 0, num_anchors))
    there = good.any(dim=1, keepdim=True)
    points = torch.cat([start, _anchors(seed, weight, start, num_anchors)], dim=1)
    return Marks(points, motions, there.expand(-1, 1 + num_anchors))


def draw_zooms(seed: Tensor, weight: Tensor, least: float, most: float) -> Marks:
    """A zoom in or out for each image; ``least`` and ``most`` bound the log expansion."""
    points = draw_pixels(seed, weight, 1)
    draws = seeded_uniform(hash_int64(seed + 1), 2).float()
    size = least + (most - least) * draws[:, 0]
    expansion = torch.where(draws[:, 1] < 0.5, -size, size)
    motions = F.pad(expansion[:, None, None], (2, 0))
    return Marks(points, motions, torch.ones_like(points[..., 0], dtype=torch.bool))


def draw_requests(seed: Tensor, weight: Tensor) -> Marks:
    """A drag for half of the images, a drag with four anchors or a zoom for a quarter each.

    Drags are 2 to 8 pixels of 64 long, zooms change the size by 5 to 22 %.
    """
    unit = weight.shape[-1] / 64
    drags = draw_drags(seed, weight, 2 * unit, 8 * unit, num_anchors=4)
    zooms = draw_zooms(seed, weight, 0.05, 0.2)
    kind = (seeded_uniform(hash_int64(seed + 3), 1, 1) * 4).long()  # (B, 1, 1)
    anchored = drags.points_mask & ((kind[:, 0] == 2) | (torch.arange(5, device=seed.device) == 0))
    single = F.pad(zooms.points_mask, (0, 4))
    return Marks(
        drags.points,  # both start from the same pixel
        torch.where(kind == 3, F.pad(zooms.motions, (0, 0, 0, 4)), drags.motions),
        torch.where(kind[:, 0] == 3, single, anchored),
    )


def edges(features: Tensor, size: int) -> Tensor:
    """How much features (B, C, h, w) change at each pixel of a canvas (B, size, size)."""
    unit = F.normalize(features.float(), dim=1)
    right = F.pad(unit.diff(dim=3).square().sum(1), (0, 1))
    down = F.pad(unit.diff(dim=2).square().sum(1), (0, 0, 0, 1))
    return F.interpolate((right + down).sqrt()[:, None], size, mode="bilinear")[:, 0]


def draw_pixels(seed: Tensor, weight: Tensor, number: int) -> Tensor:
    """Different pixels (B, number, 2), (x, y), drawn in proportion to weights (B, H, W)."""
    H, W = weight.shape[1:]
    noise = -(-seeded_uniform(seed, H * W).log()).log()  # Gumbel
    best = (weight.flatten(1).double().log() + noise).topk(number, dim=1).indices
    return torch.stack([best % W, best // W], dim=-1).float()


def _anchors(seed: Tensor, weight: Tensor, start: Tensor, number: int) -> Tensor:
    """Pixels (B, number, 2) at some distance from the starts (B, 1, 2)."""
    H, W = weight.shape[1:]
    grid = pixel_grid(H, W, weight.device).permute(1, 2, 0)
    far = (grid - start[:, :, None]).norm(dim=-1) >= APART * W
    return draw_pixels(hash_int64(seed + 2), weight * far, number)
