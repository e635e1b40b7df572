"""Spherical k-means inside each class, for all classes at once."""

import torch
from torch import Tensor

from semsynth.networks.noise import seeded_uniform

STEPS = 20


def cluster_classes(
    vectors: Tensor, classes: Tensor, weights: Tensor, num_classes: int, count: int
) -> Tensor:
    """Centres of clusters of unit vectors, started by k-means++ from a fixed seed.

    Dhillon and Modha, Machine Learning 42, 2001; Arthur and Vassilvitskii, SODA 2007.

    Args:
        vectors: Unit vectors (M, C).
        classes: Class of each (M,).
        weights: Weight of each (M,), positive.
        num_classes: Number of classes K.
        count: Clusters Q in each class.

    Returns:
        Unit vectors (K, Q, C); zero for classes without a vector.
    """
    centres = choose_centres(vectors, classes, weights, num_classes, count)
    first = classes * count
    for _ in range(STEPS):
        cosine = cosines_to_own(vectors, classes, centres)
        group = first + cosine.argmax(1)
        sums = torch.zeros_like(centres.flatten(0, 1))
        sums.index_add_(0, group, vectors * weights[:, None])
        norms = sums.norm(dim=1, keepdim=True)
        moved = torch.where(norms > 0, sums / norms.clamp(min=1e-8), centres.flatten(0, 1))
        centres = moved.view_as(centres)  # an empty cluster keeps its centre
    return centres


def choose_centres(
    vectors: Tensor, classes: Tensor, weights: Tensor, num_classes: int, count: int
) -> Tensor:
    """Vectors (K, Q, C), each drawn in proportion to its weight and distance to those before."""
    M, C = vectors.shape
    seed = torch.arange(count, device=vectors.device)
    gumbel = -(-seeded_uniform(seed, M).log()).log()  # (Q, M): the largest is a fair draw
    centres = vectors.new_zeros(num_classes, 0, C)
    distance = torch.ones_like(weights)
    for q in range(count):
        draw = gumbel[q] + (weights * distance.clamp(min=1e-12)).log()
        picked = first_largest(draw, classes, num_classes)
        chosen = torch.cat([vectors, vectors.new_zeros(1, C)])[picked]  # M where none is
        centres = torch.cat([centres, chosen[:, None]], 1)
        distance = 1 - cosines_to_own(vectors, classes, centres).amax(1)
    return centres


def first_largest(values: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Index (K,) of the largest of the values (M,) of each class; M for a class without one."""
    M = len(values)
    least = values.new_full((num_classes,), -torch.inf)
    largest = least.scatter_reduce(0, classes, values, "amax")
    index = torch.where(values == largest[classes], torch.arange(M, device=values.device), M)
    none = index.new_full((num_classes,), M)
    return none.scatter_reduce(0, classes, index, "amin")


def cosines_to_own(vectors: Tensor, classes: Tensor, centres: Tensor) -> Tensor:
    """Cosines (M, Q) of vectors to the centres of their own class."""
    K, Q, C = centres.shape
    cosine = (vectors @ centres.reshape(K * Q, C).t()).view(-1, K, Q)
    return cosine.gather(1, classes.view(-1, 1, 1).expand(-1, 1, Q))[:, 0]
