"""Calibration on held-out pairs: the unit of motion, and the gain of edits."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from semsynth.editing.pairs import Batch, PairRenderer, sums_of_squares
from semsynth.editing.points import fixed_marks
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import sample_seed

HELD_OUT = 1 << 40  # seeds that no run uses
BATCH_SIZE = 32
GAINS = (0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5)

Answer = Callable[[Batch, Marks, Tensor], Tensor]
"""Moves the first latents of pairs by marks, times a gain: (B, num_tokens, w_dim)."""


def held_out_seeds(number: int, device: torch.device) -> Iterator[Tensor]:
    """Seeds of held-out pairs, in batches."""
    yield from sample_seed(HELD_OUT, torch.arange(number, device=device)).split(BATCH_SIZE)


def measure_scale(renderer: PairRenderer, number: int, device: torch.device) -> Tensor:
    """Root mean squares (3,) of flow, equal for x and y, and of log expansion, over some pairs."""
    total, count = torch.zeros(2, 2, dtype=torch.float64, device=device)
    for seed in held_out_seeds(number, device):
        squares, cells = sums_of_squares(renderer(seed))
        total, count = total + squares, count + cells
    return (total / count.clamp(min=1)).sqrt()[[0, 0, 1]].float()


def calibrate_gain(
    renderer: PairRenderer, answer: Answer, number: int, device: torch.device
) -> Tensor:
    """The gain () that minimises the mean error of single points of pairs.

    Not the one that preserves the mean motion: some points, such as those of a background, hardly
    follow any edit, and to make up for these all others would overshoot.
    """
    batches = [renderer(seed) | {"seed": seed} for seed in held_out_seeds(number, device)]
    distances = torch.zeros(len(GAINS), device=device)
    for pairs in batches:
        marks = fixed_marks(pairs, pairs["seed"], renderer.canvas_size, 1, 1)
        for i, gain in enumerate(GAINS):
            moved = answer(pairs, marks, distances.new_tensor(gain))
            distances[i] += missed(renderer, pairs, marks, moved)
    return lowest(distances.new_tensor(GAINS), distances)


def missed(renderer: PairRenderer, pairs: Batch, marks: Marks, moved: Tensor) -> Tensor:
    """Sum () over marks of the distance between the requested motion and the achieved one."""
    before = renderer.generator.repeat(pairs["w"])
    found = renderer.compare(before, torch.cat([moved, before[:, moved.shape[1] :]], 1))
    achieved = marks.read(found["flow"], renderer.canvas_size)
    return ((marks.motions[..., :2] - achieved).norm(dim=-1) * marks.points_mask).sum()


def lowest(x: Tensor, y: Tensor) -> Tensor:
    """Minimum of the parabola in log x through the lowest value (N,) and its neighbours."""
    i = int(y.argmin())
    if i in (0, len(x) - 1):
        return x[i]
    a, b, c = x[i - 1 : i + 2].log()
    down, up = (y[i - 1] - y[i]) / (b - a), (y[i + 1] - y[i]) / (c - b)  # both nonnegative
    offset = 0.5 * (down * (c - b) - up * (b - a)) / (down + up).clamp(min=1e-12)
    return (b + offset.clamp(a - b, c - b)).exp()
