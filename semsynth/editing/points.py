"""Training marks, sampled from pairs whose motion is known on a grid."""

import torch
from torch import Tensor

from semsynth.networks.motion.marks import Marks, read_cells
from semsynth.networks.noise import seeded_uniform

STILL = 0.5 / 256
"""Motion below half a pixel of the paper's 256 counts as none."""

Batch = dict[str, Tensor]


def all_marks(pairs: Batch, size: int) -> Marks:
    """Every valid cell of the grid; see ``random_marks``."""
    there = pairs["valid"].flatten(1)
    cells = torch.arange(there.shape[1], device=there.device).expand(len(there), -1)
    return _marks(pairs, size, cells, there)


def random_marks(
    pairs: Batch, seed: Tensor, size: int, still: float, max_points: int = 64, max_anchors: int = 8
) -> Marks:
    """A random number of marks, as a user would make: few are as likely as many.

    The number of points is log-uniform in 1..max_points, that of anchors uniform in 0..max_anchors.
    Points are drawn from valid cells without replacement, half of them uniformly and half in
    proportion to the length of the flow; anchors where almost nothing moves.

    Args:
        pairs: ``flow`` (B, 2, g, g) in pixels, ``log_expansion`` and ``valid`` (B, 1, g, g).
        seed: Seeds (B,).
        size: Height and width of the canvas.
        still: Length of flow in pixels below which a cell may be an anchor.
        max_points: Maximum number of points.
        max_anchors: Maximum number of anchors.
    """
    numbers = seeded_uniform(seed, 2).to(pairs["flow"].dtype)
    most = torch.tensor(max_points + 1.0, device=seed.device)
    num_points = most.pow(numbers[:, :1]).long().clamp(1, max_points)
    num_anchors = (numbers[:, 1:] * (max_anchors + 1)).long().clamp(max=max_anchors)
    points = fixed_marks(pairs, seed, size, num_points, max_points)
    quiet = pairs["valid"] & (pairs["flow"].norm(dim=1, keepdim=True) < still)
    cells, there = _draw(quiet.flatten(1).to(pairs["flow"].dtype), seed, 1, max_anchors)
    there = there & (torch.arange(cells.shape[1], device=seed.device) < num_anchors)
    anchors = _marks(pairs, size, cells, there)
    anchors = anchors._replace(motions=torch.zeros_like(anchors.motions))
    return Marks(*(torch.cat(parts, 1) for parts in zip(points, anchors, strict=True)))


def fixed_marks(
    pairs: Batch, seed: Tensor, size: int, num_points: Tensor | int, most: int
) -> Marks:
    """A given number of points without anchors, drawn as in ``random_marks``.

    Args:
        pairs: As of ``random_marks``.
        seed: Seeds (B,).
        size: Height and width of the canvas.
        num_points: Points of each sample (B, 1), or of all; fewer where fewer cells are valid.
        most: Padded number K of points.
    """
    even = pairs["valid"].flatten(1).to(pairs["flow"].dtype)
    moving = even * pairs["flow"].norm(dim=1).flatten(1)
    cells, there = _draw(_share(even) + _share(moving), seed, 0, most)
    there = there & (torch.arange(cells.shape[1], device=seed.device) < num_points)
    return _marks(pairs, size, cells, there)


def _marks(pairs: Batch, size: int, cells: Tensor, there: Tensor) -> Marks:
    """Marks in cells (B, K) of the grid, which move as these do."""
    g = pairs["flow"].shape[-1]
    points = torch.stack([cells % g, cells // g], dim=-1) * (size // g)
    motion = torch.cat([pairs["flow"], pairs["log_expansion"]], 1)
    return Marks(points.float(), read_cells(motion, cells), there)


def _share(weight: Tensor) -> Tensor:
    """Weights (B, n) as shares of their sum; 0 where there is none."""
    return weight / weight.sum(1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def _draw(weight: Tensor, seed: Tensor, stream: int, most: int) -> tuple[Tensor, Tensor]:
    """Cells (B, K) drawn in proportion to weights (B, n), and whether their weight is positive.

    The largest sums of log weights and Gumbel noise are a draw without replacement. Two streams of
    one seed are independent, also of the numbers of marks.
    """
    gumbel = -(-seeded_uniform(seed + 1 + stream, weight.shape[1]).log()).log()
    top = (weight.double().log() + gumbel).topk(min(most, weight.shape[1]), dim=1)
    return top.indices, top.values.isfinite()
