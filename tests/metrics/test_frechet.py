from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from torch import Tensor

from semsynth.images import to_uint8
from semsynth.metrics import FrechetDistance
from semsynth.metrics.features import build_features
from semsynth.metrics.frechet import frechet_distance, frechet_distance_from_features

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # clean-fid calls old scipy


def random_features(num: int, dim: int, seed: int) -> Tensor:
    """Correlated features, not negative, as those after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(9))
    scales = torch.logspace(0, -2, dim)
    return (torch.randn(num, dim, generator=generator) * scales @ mixing + seed / 10).relu()


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.double().mean(dim=0), features.double().T.cov()


@pytest.mark.parametrize(("num", "tolerance"), [(200, 1e-6), (500, 1e-6)])
def test_distance_equals_cleanfid_for_many_samples(num: int, tolerance: float) -> None:
    a, b = random_features(num, 64, 1), random_features(num, 64, 2)
    expected = fid.fid_from_feats(a.double().numpy(), b.double().numpy())
    assert frechet_distance_from_features(a, b).item() == pytest.approx(expected, rel=tolerance)
    assert frechet_distance(*moments(a), *moments(b)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("num_a", "num_b"), [(20, 30), (40, 40), (20, 100)])
def test_distance_equals_cleanfid_for_few_samples(num_a: int, num_b: int) -> None:
    a, b = random_features(num_a, 64, 1), random_features(num_b, 64, 2)
    expected = fid.fid_from_feats(a.double().numpy(), b.double().numpy())
    from_features = frechet_distance_from_features(a, b).item()
    assert from_features == pytest.approx(expected, abs=1e-3)
    assert frechet_distance(*moments(a), *moments(b)).item() == pytest.approx(
        from_features, rel=1e-9
    )


@pytest.mark.parametrize("num", [20, 64, 300])
def test_distance_of_identical_sets_is_zero(num: int) -> None:
    a = random_features(num, 64, 1)
    assert frechet_distance_from_features(a, a).item() < 1e-9
    assert frechet_distance(*moments(a), *moments(a)).item() < 1e-9


def test_distance_of_diagonal_gaussians_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean_a, mean_b, var_a, var_b = rng.uniform(0.1, 2, (4, 12))
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
    assert frechet_distance_from_features(a, b).item() == 3
    assert frechet_distance(*moments(a), *moments(b)).item() == 3


def test_metric_equals_the_distance_of_all_features(toy_assets: Path) -> None:
    image, fake = torch.rand(2, 40, 3, 16, 16).mul(2).sub(1).unbind()
    metric = FrechetDistance("toy_street")
    metric.update(image=image, fake=fake)
    extractor = build_features("toy_street")
    a, b = extractor(to_uint8(image)), extractor(to_uint8(fake))
    expected = fid.fid_from_feats(a.double().numpy(), b.double().numpy())
    assert metric.compute()["fd_toy"].item() == pytest.approx(expected, rel=1e-6)


def test_metric_is_called_fid_for_inception_only(
    toy_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FrechetDistance("toy_street").key == "fd_toy"
    toy = build_features("toy_street")
    monkeypatch.setattr("semsynth.metrics.frechet.build_features", lambda name: toy)
    assert FrechetDistance("inception").key == "FID"


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
