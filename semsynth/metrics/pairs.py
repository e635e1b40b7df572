"""Which pairs of samples of one mask are compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import torch
from torch import Tensor

from semsynth.metrics.perceptual import Trunk, Version, tap_distance

Pairing = Literal["all", "consecutive", "random"]
Preset = Literal["bicyclegan", "msgan", "oasis-vgg", "clvae"]


@dataclass(frozen=True)
class DiversityProtocol:
    """The protocol of a paper.

    Attributes:
        features: Trunk of LPIPS.
        version: Version of LPIPS.
        num_samples: Images for each mask.
        pairs: Which pairs are compared.
        num_pairs: Number of random pairs.
    """

    features: Trunk
    version: Version
    num_samples: int
    pairs: Pairing
    num_pairs: int = 0


PRESETS: dict[Preset, DiversityProtocol] = {
    "bicyclegan": DiversityProtocol("alex", "0.0", 20, "consecutive"),
    "msgan": DiversityProtocol("alex", "0.1", 50, "random", 50),  # its trunk is not stated
    "oasis-vgg": DiversityProtocol("vgg", "0.1", 20, "all"),  # number of samples not stated
    "clvae": DiversityProtocol("alex", "0.1", 40, "all"),  # its trunk is not stated
}


def choose_pairs(pairs: Pairing, num_samples: int, num_pairs: int = 0) -> Tensor:
    """Indices of the samples that are compared.

    Random pairs are distinct, and the same for each mask: samples of a mask differ only in their
    noise, so the choice does not matter.

    Returns:
        Pairs (P, 2), int64.
    """
    if pairs == "consecutive":
        return torch.tensor(list(pairwise(range(num_samples))))
    every = torch.tensor(list(combinations(range(num_samples), 2)))
    if pairs == "all":
        return every
    if not 1 <= num_pairs <= len(every):
        raise ValueError(
            f"num_pairs must be in 1..{len(every)} for {num_samples} samples, got {num_pairs}; "
            "change it, or num_samples of the evaluation."
        )
    chosen = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))[:num_pairs]
    return every[chosen.sort().values]


def mean_pair_distance(
    see: Callable[[Tensor], list[Tensor]], fakes: Tensor, pairs: Tensor, chunk: int
) -> Tensor:
    """Mean distances (B,) over pairs (P, 2) of the K samples of each mask, in float64."""
    B = len(fakes)
    total = torch.zeros(B, dtype=torch.float64, device=fakes.device)
    for some in pairs.split(max(1, chunk // B)):
        samples, where = some.unique(return_inverse=True)  # neighbours in the list share samples
        taps = [
            t.unflatten(0, (B, -1)) for t in see(fakes[:, samples.to(fakes.device)].flatten(0, 1))
        ]
        left, right = ([t[:, where[:, i]].flatten(0, 1) for t in taps] for i in (0, 1))
        total += tap_distance(left, right).view(B, -1).sum(dim=1)
    return total / len(pairs)


def mean_distance_of_all(chunks: Iterable[list[Tensor]]) -> Tensor:
    """Mean distance over all pairs of the K samples of each mask, in float64.

    No pair is formed: the squared distances of all pairs sum to
    ``K * sum_i |f_i|^2 - |sum_i f_i|^2``, so each sample is needed once, for a K-th of the time and
    memory of a K x K Gram matrix per tap.

    Args:
        chunks: Taps of a chunk of samples at a time, each tap (B, k, C, h, w).
    """
    num_samples = 0
    squares = torch.zeros(())  # (B,) after the first chunk
    sums: list[Tensor] = []
    for taps in chunks:
        num_samples += taps[0].shape[1]
        squares = squares.to(taps[0].device) + sum(_squares(tap) for tap in taps)
        parts = [tap.sum(dim=1, keepdim=True, dtype=torch.float64) for tap in taps]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
    num_pairs = num_samples * (num_samples - 1) / 2
    distances = (num_samples * squares - sum(_squares(total) for total in sums)) / num_pairs
    return distances.clamp(min=0)


def require_samples(fakes: Tensor) -> None:
    """Require at least two images per mask, (B, K, 3, H, W)."""
    if fakes.ndim != 5 or fakes.shape[2] != 3:
        raise ValueError(f"fakes must have shape (B, K, 3, H, W), got {tuple(fakes.shape)}.")
    if fakes.shape[1] < 2:
        raise ValueError(
            "Diversity compares the samples of a mask and needs at least 2, got "
            f"{fakes.shape[1]}; raise num_samples of the evaluation."
        )


def _squares(tap: Tensor) -> Tensor:
    """Squares of a tap (B, k, C, h, w), averaged over pixels and summed over the rest: (B,)."""
    norm = torch.linalg.vector_norm(tap.flatten(1), dim=1, dtype=torch.float64)
    return norm.square() / (tap.shape[-2] * tap.shape[-1])
