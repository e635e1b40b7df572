"""Distance of two covariances (d, d), in float64."""

import torch
from torch import Tensor

BLOCK = 256  # columns that are multiplied at a time
TOLERANCE = 1e-11


def covariance_distance(cov_a: Tensor, cov_b: Tensor) -> Tensor:
    """Trace of A + B - 2 (A B)^1/2, the squared Fréchet distance of centred Gaussians.

    The trace of the root is the sum of the roots of the eigenvalues of A B. Rounding moves an
    eigenvalue by about eps times the largest one, hence its root by that over twice the root. Where
    these shifts add up to ``TOLERANCE`` of the trace, it is the sum of the singular values of the
    factors' product, which keeps all digits and takes three times as long.
    """
    roots = _roots_of_eigenvalues(cov_a, cov_b)
    if roots is not None:
        return cov_a.trace() + cov_b.trace() - 2 * roots.sum()
    a, b = _factor(cov_a), _factor(cov_b)
    return a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a.T @ b).sum()


def _roots_of_eigenvalues(cov_a: Tensor, cov_b: Tensor) -> Tensor | None:
    """Roots of the eigenvalues of A B; None if B is singular or rounding moves them too far."""
    lower, failed = torch.linalg.cholesky_ex(cov_b)
    if failed:
        return None
    values = torch.linalg.eigvalsh(_congruent(cov_a, lower))
    numbers = torch.finfo(values.dtype)
    roots = values.clamp(min=numbers.tiny).sqrt()
    shift = (numbers.eps * roots.max().square() / (2 * roots)).sum()
    return roots if shift < TOLERANCE * roots.sum() else None


def _congruent(cov: Tensor, lower: Tensor) -> Tensor:
    """The lower triangle of L^T A L, which has the eigenvalues of A L L^T, by a third of it all."""
    product = torch.zeros_like(cov)
    for start in range(0, len(cov), BLOCK):
        block = slice(start, start + BLOCK)
        columns = cov[start:, start:] @ lower[start:, block]
        product[start:, block] = lower[start:, start:].T @ columns
    return product


def _factor(cov: Tensor) -> Tensor:
    """A factor A (d, r) with A A^T = cov: Cholesky's, or of fewer columns where cov is singular."""
    smallest = cov.diagonal().max() * len(cov) * torch.finfo(cov.dtype).eps
    cholesky, failed = torch.linalg.cholesky_ex(cov)
    if not failed and cholesky.diagonal().min().square() > smallest:
        return cholesky
    values, vectors = torch.linalg.eigh(cov)
    # Eigenvalues that are zero up to rounding are dropped: their roots would add up.
    kept = values > values.max() * len(cov) * torch.finfo(cov.dtype).eps
    return vectors[:, kept] * values[kept].sqrt()
