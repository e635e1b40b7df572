"""Marks: where motion is asked for. Chosen from pairs to train on, or made by a user.

Pairs know their motion on a grid of ``grid_size`` x ``grid_size`` cells, of which a mark is one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from semsynth.networks.noise import seeded_uniform

STILL = 0.5 / 256
"""Motion below half a pixel of 256, in the paper's canvas, counts as none."""


class Marks(NamedTuple):
    """Cells of a grid.

    Attributes:
        cells: Numbers of the cells, row by row (B, K), int64.
        points_mask: True for marks that are there (B, K), bool.
        anchors: True for marks of what is to stay (B, K), bool.
    """

    cells: Tensor
    points_mask: Tensor
    anchors: Tensor


def all_marks(valid: Tensor) -> Marks:
    """Every cell of the grid that is valid (B, 1, g, g)."""
    there = valid.flatten(1)
    cells = torch.arange(there.shape[1], device=valid.device).expand(len(there), -1)
    return Marks(cells, there, torch.zeros_like(there))


def random_marks(
    flow: Tensor,
    valid: Tensor,
    seed: Tensor,
    still: float,
    max_points: int = 64,
    max_anchors: int = 8,
) -> Marks:
    """A random number of marks, as a user would make: few are as likely as many.

    The number of points is log-uniform in 1..max_points, that of anchors uniform in 0..max_anchors.
    Points are drawn among valid cells without replacement, half of them evenly and half in
    proportion to the length of the flow; anchors where nearly nothing moves.

    Args:
        flow: Flow on the grid (B, 2, g, g) in pixels.
        valid: Where it holds (B, 1, g, g), bool.
        seed: Seeds (B,).
        still: Length of flow in pixels below which a cell may be an anchor.
        max_points: Most points.
        max_anchors: Most anchors.
    """
    g = flow.shape[-1]
    numbers = seeded_uniform(seed, 2).to(flow.dtype)
    most = torch.tensor(max_points + 1.0, device=flow.device)
    num_points = most.pow(numbers[:, :1]).long().clamp(1, max_points)
    num_anchors = (numbers[:, 1:] * (max_anchors + 1)).long().clamp(max=max_anchors)
    points = fixed_marks(flow, valid, seed, num_points, max_points)
    quiet = valid & (flow.norm(dim=1, keepdim=True) < still)
    anchors, there = _draw(quiet.flatten(1).to(flow.dtype), _gumbel(seed, g * g, 1), max_anchors)
    there = there & (torch.arange(anchors.shape[1], device=seed.device) < num_anchors)
    return Marks(
        torch.cat([points.cells, anchors], 1),
        torch.cat([points.points_mask, there], 1),
        torch.cat([torch.zeros_like(points.points_mask), there], 1),
    )


def fixed_marks(
    flow: Tensor, valid: Tensor, seed: Tensor, num_points: Tensor | int, most: int
) -> Marks:
    """A given number of points without anchors, drawn as in ``random_marks``.

    Args:
        flow: Flow on the grid (B, 2, g, g) in pixels.
        valid: Where it holds (B, 1, g, g), bool.
        seed: Seeds (B,).
        num_points: Points of each sample (B, 1), or of all; fewer where fewer cells are valid.
        most: Length K of the lists of points.
    """
    g = flow.shape[-1]
    even = valid.flatten(1).to(flow.dtype)
    moving = even * flow.norm(dim=1).flatten(1)
    weight = _share(even) + _share(moving)
    cells, there = _draw(weight, _gumbel(seed, g * g, 0), most)
    there = there & (torch.arange(cells.shape[1], device=seed.device) < num_points)
    return Marks(cells, there, torch.zeros_like(there))


def read_cells(field: Tensor, cells: Tensor) -> Tensor:
    """Values (B, K, C) of a field on the grid (B, C, g, g) in cells (B, K)."""
    C = field.shape[1]
    return field.flatten(2).gather(2, cells[:, None].expand(-1, C, -1)).mT


def read_pixels(features: Tensor, points: Tensor, canvas_size: int) -> Tensor:
    """Features at the nearest pixels of a canvas, which are never enlarged to it.

    Args:
        features: Features (B, C, h, w).
        points: Positions (B, K, 2) in pixels (x, y) of the canvas.
        canvas_size: Height and width of the canvas.

    Returns:
        Features (B, K, C), those of the nearest cell.
    """
    h, w = features.shape[-2:]
    pixels = points.nan_to_num().round().long().clamp(0, canvas_size - 1)
    x, y = (pixels[..., 0] * w).div(canvas_size, rounding_mode="floor"), pixels[..., 1] * h
    return read_cells(features, y.div(canvas_size, rounding_mode="floor") * w + x)


def check_marks(points: Tensor, motions: Tensor, points_mask: Tensor, canvas_size: int) -> None:
    """Refuse marks that no user can have made.

    Args:
        points: Positions (B, K, 2) in pixels (x, y) of the canvas.
        motions: Motions (B, K, 3).
        points_mask: Which of the marks are there (B, K), bool.
        canvas_size: Height and width of the canvas.

    Raises:
        ValueError: Shapes differ, a number is not finite, or a point is outside the canvas.
    """
    B, K = points_mask.shape
    if points.shape != (B, K, 2) or motions.shape != (B, K, 3):
        raise ValueError(
            "Expected points (B, K, 2), motions (B, K, 3) and points_mask (B, K), got "
            f"{tuple(points.shape)}, {tuple(motions.shape)} and {tuple(points_mask.shape)}."
        )
    finite = points.isfinite().all(-1) & motions.isfinite().all(-1)
    inside = ((points >= 0) & (points <= canvas_size - 1)).all(-1)
    if (points_mask & ~(finite & inside)).any():
        raise ValueError(
            "Points and motions must be finite, and points inside the canvas, 0 to "
            f"{canvas_size - 1} in x and y."
        )


def _share(weight: Tensor) -> Tensor:
    """Weights (B, n) as shares of their sum; 0 where there is none."""
    return weight / weight.sum(1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def _gumbel(seed: Tensor, length: int, stream: int) -> Tensor:
    """Gumbel noise (B, length); its largest sums with log weights are a draw without replacement.

    Two streams of one seed are independent, and of the numbers of marks too.
    """
    uniform = seeded_uniform(seed + 1 + stream, length)
    return -(-uniform.log()).log()


def _draw(weight: Tensor, gumbel: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Cells (B, K) drawn in proportion to weights (B, n), and whether they have any weight."""
    top = (weight.double().log() + gumbel).topk(min(most, weight.shape[1]), dim=1)
    return top.indices, top.values.isfinite()
