"""What is measured on pairs that no run trains on: the unit of motion, and the gain of edits."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from semsynth.layout.pairs import Batch, PairRenderer, sums_of_squares
from semsynth.layout.points import Marks, fixed_marks, read_cells
from semsynth.networks.noise import sample_seed

HELD_OUT = 1 << 40  # no run's seed, and so none of its pairs
BATCH_SIZE = 32

Answer = Callable[[Batch, Marks, Tensor], Tensor]
"""Moves the first latents of pairs as marks tell, times a gain: (B, num_tokens, w_dim)."""


def held_out_seeds(number: int, device: torch.device) -> Iterator[Tensor]:
    """Seeds of pairs that no run trains on, in batches."""
    yield from sample_seed(HELD_OUT, torch.arange(number, device=device)).split(BATCH_SIZE)


def measure_scale(renderer: PairRenderer, number: int, device: torch.device) -> Tensor:
    """Root mean squares (3,) of flow, x and y alike, and of log expansion.

    Args:
        renderer: Renders the pairs.
        number: Number of pairs.
        device: Where they are rendered.
    """
    total, count = torch.zeros(2, 2, dtype=torch.float64, device=device)
    for seed in held_out_seeds(number, device):
        squares, cells = sums_of_squares(renderer(seed))
        total, count = total + squares, count + cells
    return (total / count.clamp(min=1)).sqrt()[[0, 0, 1]].float()


def calibrate_gain(
    renderer: PairRenderer, answer: Answer, number: int, device: torch.device, rounds: int = 3
) -> Tensor:
    """The gain () with which single points of pairs go as far as they went, on average.

    What counts is the achieved motion along the requested one. (The gain of the least squared
    distance is smaller, the more so the noisier the estimator is.) As motion is only nearly
    proportional to the gain, it is found in a few rounds.

    Args:
        renderer: Renders the pairs.
        answer: What is calibrated.
        number: Number of pairs.
        device: Where they are rendered.
        rounds: Rounds.
    """
    batches = [renderer(seed) | {"seed": seed} for seed in held_out_seeds(number, device)]
    gain = torch.ones((), device=device)
    for _ in range(rounds):
        products = torch.zeros(2, device=device)
        for pairs in batches:
            marks = fixed_marks(pairs["flow"], pairs["valid"], pairs["seed"], 1, 1)
            products += compare(renderer, pairs, marks, answer(pairs, marks, gain))
        ratio = products[0] / products[1].clamp(min=1e-12)
        gain = (gain * ratio.clamp(0.25, 4)).clamp(0.1, 10)
    return gain


def compare(renderer: PairRenderer, pairs: Batch, marks: Marks, moved: Tensor) -> Tensor:
    """Sums over marks of requested motion times itself, and times the achieved one (2,).

    Args:
        renderer: Rendered the pairs.
        pairs: Pairs.
        marks: What was asked for.
        moved: First latents (B, num_tokens, w_dim) that were to do it.
    """
    before = renderer.generator.repeat(pairs["w"])
    found = renderer.compare(before, torch.cat([moved, before[:, moved.shape[1] :]], 1))
    request = read_cells(pairs["flow"], marks.cells)
    seen = read_cells(found["valid"], marks.cells) & marks.points_mask[..., None]
    request = request.where(seen, 0)
    achieved = read_cells(found["flow"], marks.cells)
    return torch.stack([request.square().sum(), (request * achieved).sum()])
