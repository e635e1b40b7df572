"""Diversity of the images that a method makes for one mask."""

from collections.abc import Iterable

import torch
from torch import Tensor

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.features import TapsName, build_taps

CHUNK = 32  # images that go through the network at once


def mean_pairwise_distance(chunks: Iterable[list[Tensor]]) -> Tensor:
    """Mean perceptual distance over all pairs of the K samples of each mask, in float64.

    No pair is ever formed: the squared distances of all pairs sum to
    ``K * sum_i |f_i|^2 - |sum_i f_i|^2``, so each sample is seen once and then forgotten. It is
    what one K x K Gram matrix for each tap gives, for a K-th of the work and of the memory.

    Args:
        chunks: Taps of some of the samples at a time, each tap (B, k, C, h, w).

    Returns:
        Mean distances (B,).
    """
    num_samples = 0
    squares = torch.zeros(())  # (B,) after the first chunk
    sums: list[Tensor] = []
    for taps in chunks:
        num_samples += taps[0].shape[1]
        squares = squares.to(taps[0].device) + sum(_squares(tap) for tap in taps)
        parts = [tap.sum(dim=1, keepdim=True, dtype=torch.float64) for tap in taps]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
    if num_samples < 2:
        raise ValueError(
            f"Diversity compares the samples of one mask and needs at least 2, got {num_samples}; "
            "raise num_samples of the evaluation."
        )
    pairs = num_samples * (num_samples - 1) / 2
    distances = (num_samples * squares - sum(_squares(total) for total in sums)) / pairs
    return distances.clamp(min=0)


def _squares(tap: Tensor) -> Tensor:
    """Squares of a tap (B, k, C, h, w), averaged over pixels and summed over the rest: (B,)."""
    norm = torch.linalg.vector_norm(tap.flatten(1), dim=1, dtype=torch.float64)
    return norm.square() / (tap.shape[-2] * tap.shape[-1])


class Diversity(ImageMetric):
    """Mean perceptual distance between samples of one mask: higher is more diverse.

    All pairs of the K samples of each mask count (Endo & Kanamori, CGF 2020, take K = 40); the
    mean over masks is logged as ``lpips_alex`` or ``lpips_vgg`` for LPIPS v0.1, and as
    ``diversity_toy`` for the features of a toy segmenter.

    Args:
        features: Network that sees the differences.
    """

    higher_is_better = True

    distance_sum: Tensor
    num_masks: Tensor

    def __init__(self, features: TapsName) -> None:
        super().__init__()
        self.taps = build_taps(features)
        self.key = "diversity_toy" if features.startswith("toy") else f"lpips_{features}"
        self.add_state("distance_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_masks", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, fakes: Tensor) -> None:
        """Add masks.

        Args:
            fakes: Images (B, K, 3, H, W) in [-1, 1], K samples for each mask.
        """
        if fakes.ndim != 5 or fakes.shape[2] != 3:
            raise ValueError(f"fakes must have shape (B, K, 3, H, W), got {tuple(fakes.shape)}.")
        B = len(fakes)
        chunks = (self._taps(chunk) for chunk in torch.split(fakes, max(1, CHUNK // B), dim=1))
        self.distance_sum += mean_pairwise_distance(chunks).sum()
        self.num_masks += B

    def compute(self) -> dict[str, Tensor]:
        """Mean over masks, under a name that says by which features."""
        return {self.key: self.distance_sum / self.num_masks}

    def _taps(self, fakes: Tensor) -> list[Tensor]:
        B, k = fakes.shape[:2]
        return [tap.unflatten(0, (B, k)) for tap in self.taps(fakes.flatten(0, 1))]
