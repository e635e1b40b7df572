from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid import fid
from torch import Tensor

from semsynth.images import to_uint8
from semsynth.metrics import FrechetDistance
from semsynth.metrics.features import build_features
from semsynth.metrics.frechet import (
    frechet_distance,
    frechet_distance_from_features,
    rank_caveat,
    score_name,
)
from semsynth.metrics.roots import covariance_distance

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # clean-fid calls old scipy


def normal(num: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, dim, generator=generator, dtype=torch.float64) + seed / 10


def correlated(num: int, dim: int, seed: int) -> Tensor:
    """Features that are not negative, as those after a ReLU, with a spectrum that falls."""
    generator = torch.Generator().manual_seed(9)
    mixing = torch.randn(dim, dim, generator=generator, dtype=torch.float64) / dim**0.5
    scales = torch.logspace(0, -2, dim, dtype=torch.float64)
    return (normal(num, dim, seed) * scales @ mixing).relu()


def heavy_tailed(num: int, dim: int, seed: int) -> Tensor:
    """Student's t with three degrees of freedom: few samples carry much of the covariance."""
    chi = normal(num, 3, seed + 50).sub((seed + 50) / 10).square().mean(dim=1, keepdim=True)
    return correlated(num, dim, seed) / chi.sqrt()


Sampler = Callable[[int, int, int], Tensor]
samplers = pytest.mark.parametrize("sample", [normal, correlated, heavy_tailed])


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.double().mean(dim=0), features.double().T.cov()


def both_ways(a: Tensor, b: Tensor) -> list[float]:
    from_moments = frechet_distance(*moments(a), *moments(b))
    return [frechet_distance_from_features(a, b).item(), from_moments.item()]


def cleanfid_distance(a: Tensor, b: Tensor) -> float:
    return fid.fid_from_feats(a.numpy(), b.numpy())


def torch_fidelity_distance(a: Tensor, b: Tensor) -> float:
    module = pytest.importorskip("torch_fidelity.metric_fid")
    statistics = [module.fid_features_to_statistics(x) for x in (a, b)]
    distance: float = module.fid_statistics_to_metric(*statistics, verbose=False)[
        "frechet_inception_distance"
    ]
    return distance


references = pytest.mark.parametrize("reference", [cleanfid_distance, torch_fidelity_distance])


@samplers
@references
@pytest.mark.parametrize(("num", "dim"), [(130, 64), (500, 64), (600, 256)])
def test_distance_equals_others_for_many_samples(
    sample: Sampler, reference: Callable[[Tensor, Tensor], float], num: int, dim: int
) -> None:
    a, b = sample(num, dim, 1), sample(num + 10, dim, 2)
    assert both_ways(a, b) == pytest.approx([reference(a, b)] * 2, rel=1e-6)


@samplers
@references
@pytest.mark.parametrize(("num_a", "num_b"), [(20, 30), (40, 40), (20, 100), (250, 120)])
def test_distance_equals_others_for_few_samples(
    sample: Sampler, reference: Callable[[Tensor, Tensor], float], num_a: int, num_b: int
) -> None:
    dim = 64 if num_a < 64 else 256
    a, b = sample(num_a, dim, 1), sample(num_b, dim, 2)
    from_features, from_moments = both_ways(a, b)
    assert from_features == pytest.approx(reference(a, b), abs=1e-3)
    assert from_moments == pytest.approx(from_features, rel=1e-9)


@pytest.mark.slow
@samplers
@pytest.mark.parametrize(
    ("num", "tolerance"), [(5000, {"rel": 1e-6}), (500, {"abs": 1e-3})], ids=["many", "few"]
)
def test_distance_equals_cleanfid_at_the_dimension_of_inception(
    sample: Sampler, num: int, tolerance: dict[str, Any]
) -> None:
    a, b = sample(num, 2048, 1), sample(num, 2048, 2)
    expected = cleanfid_distance(a, b)
    assert both_ways(a, b) == pytest.approx([expected] * 2, **tolerance)


@samplers
@pytest.mark.parametrize("num", [20, 64, 65, 300])
def test_distance_of_identical_sets_is_zero(sample: Sampler, num: int) -> None:
    a = sample(num, 64, 1)
    assert both_ways(a, a) == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("num", [100, 1000])
def test_distance_of_identical_sets_with_a_very_wide_spectrum_is_zero(num: int) -> None:
    scales = torch.logspace(2, -8, 256, dtype=torch.float64)
    mixing = torch.linalg.qr(normal(256, 256, 3)).Q
    a = normal(num, 256, 1) * scales @ mixing
    assert both_ways(a, a) == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("num", "decades"), [(100, 3), (300, 3), (3000, 1)], ids=["singular", "wide", "narrow"]
)
def test_distance_of_covariances_equals_singular_values(num: int, decades: int) -> None:
    scales = torch.logspace(0, -decades, 256, dtype=torch.float64)
    sets = [normal(num, 256, seed) * scales * (1 + seed) for seed in (1, 2)]
    centred = [(x - x.mean(dim=0)) / (num - 1) ** 0.5 for x in sets]
    exact = sum(x.square().sum() for x in centred)
    exact = exact - 2 * torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    found = covariance_distance(*(x.T.cov() for x in sets))
    assert found.item() == pytest.approx(float(exact), rel=1e-10)


def test_distance_of_diagonal_gaussians_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean_a, mean_b, var_a, var_b = rng.uniform(0.1, 2, (4, 12))
    var_b[3:5] = 0  # a singular covariance
    expected = ((mean_a - mean_b) ** 2).sum() + ((var_a**0.5 - var_b**0.5) ** 2).sum()
    ours = frechet_distance(
        torch.from_numpy(mean_a),
        torch.from_numpy(np.diag(var_a)),
        torch.from_numpy(mean_b),
        torch.from_numpy(np.diag(var_b)),
    )
    assert ours.dtype == torch.float64
    assert ours.item() == pytest.approx(expected, rel=1e-12)


def test_distance_of_constant_features_is_that_of_their_means() -> None:
    a, b = torch.zeros(5, 3), torch.ones(5, 3)
    assert both_ways(a, b) == [3, 3]


def test_metric_equals_the_distance_of_all_features(toy_assets: Path) -> None:
    image, fake = torch.rand(2, 70, 3, 16, 16).mul(2).sub(1).unbind()
    metric = FrechetDistance("toy_street")
    metric.update(image=image, fake=fake)
    extractor = build_features("toy_street")
    a, b = extractor(to_uint8(image)).double(), extractor(to_uint8(fake)).double()
    expected = cleanfid_distance(a, b)
    assert metric.compute()["fd_toy"].item() == pytest.approx(expected, rel=1e-6)


def test_fewer_images_than_features_are_a_caveat() -> None:
    (caveat,) = rank_caveat("FID", 5000, 2047, 2048)
    assert "5,000 generated and 2,047 real images" in caveat
    assert "rank 2,046 at most" in caveat
    assert rank_caveat("FID", 2048, 2048, 2048) == ()


def test_only_inception_gives_the_names_of_papers() -> None:
    labels = ("inception", "inception_legacy", "toy", "dinov2")
    names = [score_name("FID", "fd", label) for label in labels]
    assert names == ["FID", "FID_legacy", "fd_toy", "fd_dinov2"]
    names = [score_name("KID", "kd", label) for label in labels[:3]]
    assert names == ["KID", "KID_legacy", "kd_toy"]


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    metric = FrechetDistance("toy_street")
    image = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 16, 16\)"):
        metric.update(image=image, fake=image[0])
    metric.reset()
    metric.update(image=image, fake=image)
    with pytest.raises(ValueError, match="at least 2 images in each set, got 1 and 1"):
        metric.compute()
    with pytest.raises(ValueError, match=r"\(N, d\)"):
        frechet_distance_from_features(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="covariances"):
        frechet_distance(torch.zeros(3), torch.eye(3), torch.zeros(2), torch.eye(2))
