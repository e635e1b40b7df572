"""Precision, recall, density and coverage of two sets of features."""

from typing import Any

import torch
from torch import Tensor

from semsynth.metrics.rows import FeatureRows

CHUNK = 1024  # rows of a distance matrix in memory at once
FEW = 1000  # images below which the scores mean little
TIE = 1 + 1e-6  # so that distances equal up to float32 rounding tie in any batches


def neighbour_radii(features: Tensor, k: int) -> Tensor:
    """Distances (N,), float64, of points (N, d) to the k-th nearest of the others."""
    if len(features) <= k:
        raise ValueError(
            f"The {k}-th neighbour needs more than {k} images in each set, got {len(features)}; "
            "evaluate more batches or lower the number of neighbours."
        )
    points = features.double()
    # Distances to all, first 0 to the point itself
    rows = [torch.cdist(chunk, points).kthvalue(k + 1).values for chunk in points.split(CHUNK)]
    return torch.cat(rows)


def precision_and_recall(fake: Tensor, real: Tensor, k: int = 3) -> tuple[Tensor, Tensor]:
    """Improved precision and recall (Kynkäänniemi et al., NeurIPS 2019).

    Precision is the share of generated points within the k-nearest-neighbour ball of a real one,
    recall the share of real points within that of a generated one.

    Args:
        fake: Features (N, d) of generated images.
        real: Features (M, d) of real images.
        k: Neighbour that gives the balls their radius.
    """
    precision = _num_balls(fake, real, neighbour_radii(real, k)) > 0
    recall = _num_balls(real, fake, neighbour_radii(fake, k)) > 0
    return precision.double().mean(), recall.double().mean()


def density_and_coverage(fake: Tensor, real: Tensor, k: int = 5) -> tuple[Tensor, Tensor]:
    """Density and coverage (Naeem et al., ICML 2020).

    Density is the number of real balls around a generated point, divided by k; coverage is the
    share of real balls that contain a generated point. As in precision, balls are closed.

    Args:
        fake: Features (N, d) of generated images.
        real: Features (M, d) of real images.
        k: Neighbour that gives the balls their radius.
    """
    radii = neighbour_radii(real, k)
    density = _num_balls(fake, real, radii).double().mean() / k
    points = fake.double()
    nearest = [torch.cdist(c, points).min(dim=1).values for c in real.double().split(CHUNK)]
    return density, (torch.cat(nearest) <= radii * TIE).double().mean()


class PrecisionRecall(FeatureRows):
    """Precision, recall, density and coverage of generated images.

    Logged as ``precision_toy``, ``recall_toy``, ``density_toy`` and ``coverage_toy``, by extractor.

    Args:
        extractor: Network whose features are compared (see ``FrechetDistance``).
        k: Neighbour that gives the balls of precision and recall their radius.
        k_density: The same for density and coverage.
    """

    higher_is_better = True

    def __init__(self, extractor: str, k: int = 3, k_density: int = 5) -> None:
        super().__init__(extractor)
        self.k, self.k_density = k, k_density

    def compute(self) -> dict[str, Tensor]:
        """The four scores."""
        fake, real = self.rows()
        self.caveats = ()
        if min(len(fake), len(real)) < FEW:
            self.caveats = (
                f"Precision, recall, density and coverage of {len(fake):,} generated and "
                f"{len(real):,} real images mean little; use at least {FEW:,} of each.",
            )
        precision, recall = precision_and_recall(fake, real, self.k)
        density, coverage = density_and_coverage(fake, real, self.k_density)
        scores = {"precision": precision, "recall": recall}
        scores |= {"density": density, "coverage": coverage}
        return {f"{name}_{self.extractor.label}": score for name, score in scores.items()}

    def protocol(self) -> dict[str, Any]:
        """Extractor and neighbours."""
        return {**super().protocol(), "k": self.k, "k_density": self.k_density}


def _num_balls(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Number of balls, of centres (M, d) and radii (M,), that contain each point (N, d): (N,)."""
    centres, radii = centres.double(), radii * TIE
    counts = [(torch.cdist(c, centres) <= radii).sum(dim=1) for c in points.double().split(CHUNK)]
    return torch.cat(counts)
