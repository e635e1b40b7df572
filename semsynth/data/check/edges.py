"""Label maps of good form that belong to another photo: they follow its edges, not those of theirs.

A program cannot know what is in a photo, so this gives hints and no errors.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from semsynth.data.check.scan import in_threads
from semsynth.data.decode import read_image
from semsynth.data.pairs import Pair, read_labels
from semsynth.data.transforms import resize_image, resize_map

SIZE = (128, 128)
FEWEST_OUTLINES = 50  # pixels; with fewer the share is too noisy
CHANCE = 0.55  # a label map of another photo scores 0.5 on average, half of them up to here
SPREAD = 0.045  # standard deviation of that score
MOST_CANDIDATES = 200
FALSE_HINTS = 0.1  # how many a set may give on average


def hints_on_edges(pairs: Sequence[Pair], workers: int | None = None) -> list[str]:
    """Name label maps that would follow edges much better if two of them were exchanged.

    Args:
        pairs: Samples whose files are good.
        workers: Threads.

    Returns:
        Sentences, for a person to look into.
    """
    pairs = [pair for pair in pairs if pair.image and pair.labels]
    title = f"Comparing the edges of {len(pairs)} samples"
    found = in_threads(lambda pair: agreement(*edges(pair)), pairs, title, workers)
    known = sorted(value for value in found if not math.isnan(value))
    if len(known) < 3:
        return []
    middle = known[len(known) // 2]
    if middle < CHANCE:
        return [
            f"most label maps follow the edges of their photos hardly better than chance "
            f"({middle:.2f}; chance is 0.50): does each belong to its photo?"
        ]
    order = sorted(range(len(pairs)), key=lambda i: found[i] if found[i] == found[i] else 1.0)
    low = order[: min(len(known), MOST_CANDIDATES)]
    return [
        f"{pairs[i].labels[0]} and {pairs[j].labels[0]} follow the edges of each other's photos "
        "better than those of their own: are they exchanged?"
        for i, j in _better_exchanged([pairs[i] for i in low], low)
    ]


def edges(pair: Pair) -> tuple[Tensor, Tensor]:
    """Edges of a photo and outlines of its label map, at a small size.

    Returns:
        Rank of each pixel's contrast (h, w), from 0 to 1, and whether two classes meet there.
    """
    assert pair.image is not None
    photo = resize_image(read_image(pair.image, SIZE), SIZE).float().mean(0).log1p()
    labels = resize_map(read_labels(pair), SIZE).int()
    across, down = photo[1:-1, 2:] - photo[1:-1, :-2], photo[2:, 1:-1] - photo[:-2, 1:-1]
    contrast = torch.hypot(across, down)
    rank = contrast.flatten().argsort().argsort().view_as(contrast) / contrast.numel()
    outline = (labels[1:-1, 2:] != labels[1:-1, :-2]) | (labels[2:, 1:-1] != labels[:-2, 1:-1])
    return rank, outline


def agreement(rank: Tensor, outline: Tensor) -> float:
    """Mean rank of the contrast on the outlines: 0.5 by chance, up to 1; NaN with few outlines."""
    return float(rank[outline].mean()) if outline.sum() >= FEWEST_OUTLINES else math.nan


def _better_exchanged(pairs: Sequence[Pair], names: Sequence[int]) -> list[tuple[int, int]]:
    """Those two and two of which each gains by the other's label map, the best first."""
    features = [edges(pair) for pair in pairs]
    ranks = torch.stack([rank.flatten() for rank, _ in features])  # (N, h w)
    outlines = torch.stack([outline.flatten().float() for _, outline in features])
    scores = ranks @ outlines.T / outlines.sum(1)  # (N, N): photo, label map
    gain = scores - scores.diag()[:, None]
    both = torch.minimum(gain, gain.T).triu(1)
    num_exchanges = len(pairs) * (len(pairs) - 1) / 2
    # Both photos must gain; by chance each does with the root of the probability that both do.
    tail = torch.tensor(FALSE_HINTS / num_exchanges).sqrt()
    least = SPREAD * float(torch.special.ndtri(1 - tail))
    chosen: list[tuple[int, int]] = []
    for flat in both.flatten().argsort(descending=True).tolist():
        i, j = divmod(flat, len(pairs))
        if both[i, j] < least:
            break
        if not {i, j} & {k for two in chosen for k in two}:
            chosen.append((i, j))
    return [(names[i], names[j]) for i, j in chosen]
