"""Kernel distance between the features of real and of generated images."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from semsynth.metrics.frechet import score_name
from semsynth.metrics.rows import FeatureRows


def polynomial_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared MMD of features (N, d) and (M, d), kernel (x y / d + 1)^3, in float64."""
    N, M = len(a), len(b)
    a, b = a.double(), b.double()
    within_a = _kernel(a, a).sum() - _kernel_diagonal(a).sum()
    within_b = _kernel(b, b).sum() - _kernel_diagonal(b).sum()
    return within_a / (N * (N - 1)) + within_b / (M * (M - 1)) - 2 * _kernel(a, b).mean()


def kernel_distance(
    fake: Tensor, real: Tensor, num_subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over random subsets of the squared discrepancy, in float64.

    The subsets equal those of torch-fidelity with the same seed.

    Args:
        fake: Features (N, d) of generated images.
        real: Features (M, d) of real images.
        num_subsets: Number of subsets.
        subset_size: Images of each set in a subset, at most all of the smaller set.
        seed: Seed of the subsets.
    """
    size = min(subset_size, len(fake), len(real))
    if size < 2:
        raise ValueError(
            f"A kernel distance needs at least 2 images in each set, got {len(fake)} and "
            f"{len(real)}; evaluate more batches."
        )
    if size == len(fake) == len(real):
        num_subsets = 1  # all subsets are the whole sets
    random = np.random.RandomState(seed)  # torch-fidelity's
    distances = []
    for _ in range(num_subsets):
        chosen_fake, chosen_real = (
            torch.from_numpy(random.choice(len(rows), size, replace=False)).to(rows.device)
            for rows in (fake, real)
        )
        distances.append(polynomial_mmd(fake[chosen_fake], real[chosen_real]))
    values = torch.stack(distances)
    return values.mean(), values.std(correction=0)


class KernelDistance(FeatureRows):
    """Kernel distance between real and generated images (Binkowski et al., ICLR 2018).

    Unlike the Fréchet distance it is unbiased for small sets. Logged as ``KID`` with Inception
    features, else by the extractor's name, as ``kd_toy``, with the standard deviation over subsets.

    Args:
        extractor: Network whose features are compared (see ``FrechetDistance``).
        num_subsets: Number of random subsets whose distances are averaged.
        subset_size: Images of each set in a subset; fewer if a set is smaller.
        seed: Seed of the subsets.
    """

    higher_is_better = False

    def __init__(
        self, extractor: str, num_subsets: int = 100, subset_size: int = 1000, seed: int = 2020
    ) -> None:
        super().__init__(extractor)
        if num_subsets < 1 or subset_size < 2:
            raise ValueError(
                "KernelDistance needs num_subsets of at least 1 and subset_size of at least 2, "
                f"got {num_subsets} and {subset_size}."
            )
        self.key = score_name("KID", "kd", self.extractor.label)
        self.num_subsets, self.subset_size, self.seed = num_subsets, subset_size, seed

    def compute(self) -> dict[str, Tensor]:
        """Mean over subsets, and their standard deviation as ``..._std``."""
        mean, std = kernel_distance(*self.rows(), self.num_subsets, self.subset_size, self.seed)
        return {self.key: mean, f"{self.key}_std": std}

    def protocol(self) -> dict[str, Any]:
        """Extractor and subsets."""
        subsets = {"num_subsets": self.num_subsets, "subset_size": self.subset_size}
        return {**super().protocol(), **subsets, "seed": self.seed}


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _kernel_diagonal(a: Tensor) -> Tensor:
    return (a.square().sum(dim=1) / a.shape[1] + 1) ** 3
