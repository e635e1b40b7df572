"""Fréchet distance between the features of real and of generated images."""

from typing import Any

import torch
from torch import Tensor

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.features import build_features
from semsynth.metrics.roots import covariance_distance


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> Tensor:
    """Squared Fréchet distance of Gaussians with means (d,) and covariances (d, d), in float64."""
    (d,) = mean_a.shape
    shapes = [tuple(x.shape) for x in (mean_a, cov_a, mean_b, cov_b)]
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(f"Expected means (d,) and covariances (d, d) of one d, got {shapes}.")
    mean_a, cov_a, mean_b, cov_b = (x.double() for x in (mean_a, cov_a, mean_b, cov_b))
    return ((mean_a - mean_b).square().sum() + covariance_distance(cov_a, cov_b)).clamp(min=0)


def frechet_distance_from_features(a: Tensor, b: Tensor) -> Tensor:
    """Squared Fréchet distance of Gaussians fitted to features (N, d) and (M, d), in float64."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"Features must have shapes (N, d) and (M, d), got {tuple(a.shape)}, {tuple(b.shape)}."
        )
    _require_samples(len(a), len(b))
    a, b = a.double(), b.double()
    if max(len(a), len(b)) >= a.shape[1]:
        return frechet_distance(a.mean(dim=0), a.T.cov(), b.mean(dim=0), b.T.cov())
    # Fewer samples than dimensions: the trace of the root is a sum of singular values (N, M).
    rows = [(x - x.mean(dim=0)) / (len(x) - 1) ** 0.5 for x in (a, b)]
    trace = torch.linalg.svdvals(rows[0] @ rows[1].T).sum()
    spread = rows[0].square().sum() + rows[1].square().sum() - 2 * trace
    return ((a.mean(dim=0) - b.mean(dim=0)).square().sum() + spread).clamp(min=0)


class FrechetDistance(ImageMetric):
    """Fréchet distance between real and generated images (Heusel et al., NeurIPS 2017).

    Logged as ``FID`` with clean-fid's Inception features, as ``FID_legacy`` with torch-fidelity's,
    else by the extractor's name, ``fd_toy`` or ``fd_dinov2``. Images are rounded to uint8 first, as
    on disk.

    Args:
        extractor: Network whose features are compared: ``inception-clean``, ``inception-fid``,
            ``dinov2``, ``timm:MODEL``, ``toy_street``, ``toy_portrait``, or a segmenter's path.
    """

    higher_is_better = False
    real_states = ("num_real", "sum_real", "outer_real")

    num_real: Tensor
    num_fake: Tensor
    sum_real: Tensor
    sum_fake: Tensor
    outer_real: Tensor
    outer_fake: Tensor

    def __init__(self, extractor: str) -> None:
        super().__init__()
        self.extractor = build_features(extractor)
        self.key = score_name("FID", "fd", self.extractor.label)
        d = self.extractor.dim
        for of in ("real", "fake"):
            self.add_state(f"num_{of}", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            self.add_state(f"sum_{of}", torch.zeros(d, dtype=torch.float64), dist_reduce_fx="sum")
            outer = torch.zeros(d, d, dtype=torch.float64)
            self.add_state(f"outer_{of}", outer, dist_reduce_fx="sum")

    def update(self, image: Tensor, fake: Tensor) -> None:
        """Add real and generated images (B, 3, H, W) in [-1, 1]; their sizes may differ."""
        if self.loaded_real is None:
            real_features = self.extractor.features_of(image).double()
            self.num_real += len(real_features)
            self.sum_real += real_features.sum(dim=0)
            self.outer_real += real_features.T @ real_features
        fake_features = self.extractor.features_of(fake).double()
        self.num_fake += len(fake_features)
        self.sum_fake += fake_features.sum(dim=0)
        self.outer_fake += fake_features.T @ fake_features

    def compute(self) -> dict[str, Tensor]:
        """The distance under its name, ``FID`` or ``fd_toy``."""
        real = self.real_state()
        num_real, num_fake = int(real["num_real"]), int(self.num_fake)
        _require_samples(num_real, num_fake)
        self.caveats = rank_caveat(self.key, num_fake, num_real, self.extractor.dim)
        real_moments = _moments(real["num_real"], real["sum_real"], real["outer_real"])
        fake_moments = _moments(self.num_fake, self.sum_fake, self.outer_fake)
        return {self.key: frechet_distance(*real_moments, *fake_moments).to(self.device)}

    def protocol(self) -> dict[str, Any]:
        """Extractor with its hash, and preprocessing."""
        return {**super().protocol(), **self.extractor.protocol()}


class ReconstructionFrechet(FrechetDistance):
    """Fréchet distance between real images and their reconstructions.

    Logged as ``reconstruction_FID``, ``reconstruction_fd_toy`` and so on (see ``FrechetDistance``).

    Args:
        extractor: Network whose features are compared.
    """

    def __init__(self, extractor: str) -> None:
        super().__init__(extractor)
        self.key = f"reconstruction_{self.key}"

    def update(self, image: Tensor, reconstruction: Tensor) -> None:
        """Add real images and their reconstructions, both (B, 3, H, W) in [-1, 1]."""
        super().update(image, reconstruction)


def score_name(inception: str, other: str, label: str) -> str:
    """Name of a score: only Inception's have the names of papers."""
    if label.startswith("inception"):
        return label.replace("inception", inception)
    return f"{other}_{label}"


def rank_caveat(score: str, num_fake: int, num_real: int, dim: int) -> tuple[str, ...]:
    """The caveat of a distance if there are fewer images than features."""
    if min(num_fake, num_real) >= dim:
        return ()
    return (
        f"{score} of {num_fake:,} generated and {num_real:,} real images: the covariances of "
        f"{dim:,} features have rank {min(num_fake, num_real) - 1:,} at most, and the distance is "
        "biased upwards; compare it only between equal numbers of images, or use KID.",
    )


def _moments(num: Tensor, total: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and unbiased covariance (d, d), on the CPU, where float64 is fast."""
    num, total, outer = num.cpu(), total.cpu(), outer.cpu()
    mean = total / num
    return mean, (outer - num * mean.outer(mean)) / (num - 1)


def _require_samples(num_a: int, num_b: int) -> None:
    if min(num_a, num_b) < 2:
        raise ValueError(
            f"A Fréchet distance needs at least 2 images in each set, got {num_a} and {num_b}; "
            "evaluate more batches."
        )
