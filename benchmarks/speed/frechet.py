"""The Fréchet distance against clean-fid's, from the same means and covariances.

The features are like Inception's: correlated, not negative, with a spectrum that falls.
"""

from collections.abc import Iterator

import torch
from cleanfid import fid
from torch import Tensor

from benchmarks.speed.compare import Comparison
from semsynth.metrics.frechet import frechet_distance

SIZES = ((2048, 5000), (2048, 1000), (512, 2000))  # dimension and number of images


def distances(*_: str) -> Iterator[Comparison]:
    """Distances between two sets."""
    for dim, num in SIZES:
        sets = [features(num, dim, seed) for seed in (1, 2)]
        moments = [moment for x in sets for moment in (x.mean(dim=0), x.T.cov())]
        arrays = [moment.numpy() for moment in moments]
        yield Comparison(
            f"{dim} dimensions, {num} images",
            {
                "ours": lambda m=moments: [frechet_distance(*m)],  # type: ignore[misc]
                "clean-fid": lambda a=arrays: [torch.tensor(fid.frechet_distance(*a))],  # type: ignore[misc]
            },
            1e-3,
        )


def features(num: int, dim: int, seed: int) -> Tensor:
    """Features (num, dim), float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(9)) / dim**0.5
    spread = torch.randn(num, dim, generator=generator) * torch.logspace(0, -2, dim)
    return (spread @ mixing + seed / 10).relu().double()
