from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from torch import Tensor

from semsynth.metrics import KernelDistance
from semsynth.metrics.kernel import kernel_distance, polynomial_mmd


def features(num: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 32, generator=generator, dtype=torch.float64).add(seed / 10).relu()


def test_discrepancy_equals_a_loop_over_pairs() -> None:
    a, b = features(6, 1), features(4, 2)

    def mean_kernel(x: Tensor, y: Tensor, same: bool) -> float:
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if not (same and i == j)]
        return sum(((x[i] @ y[j]).item() / 32 + 1) ** 3 for i, j in pairs) / len(pairs)

    expected = mean_kernel(a, a, True) + mean_kernel(b, b, True) - 2 * mean_kernel(a, b, False)
    assert polynomial_mmd(a, b).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("num_fake", "num_real"), [(90, 120), (50, 200)])
def test_distance_equals_torch_fidelity_on_the_same_subsets(num_fake: int, num_real: int) -> None:
    module = pytest.importorskip("torch_fidelity.metric_kid")
    fake, real = features(num_fake, 1), features(num_real, 2)
    settings = {"kid_subsets": 20, "kid_subset_size": 50, "rng_seed": 7, "verbose": False}
    expected = module.kid_features_to_metric(fake, real, **settings)
    mean, std = kernel_distance(fake, real, num_subsets=20, subset_size=50, seed=7)
    assert mean.item() == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)
    assert std.item() == pytest.approx(
        expected["kernel_inception_distance_std"], rel=1e-9, abs=1e-15
    )


def test_distance_equals_cleanfid_when_subsets_are_the_whole_sets() -> None:
    fake, real = features(60, 1), features(60, 2)
    expected = fid.kernel_distance(fake.numpy(), real.numpy(), num_subsets=2)
    mean, std = kernel_distance(fake, real, num_subsets=2)
    assert mean.item() == pytest.approx(expected, rel=1e-9)
    assert std.item() == 0


def test_distance_of_one_distribution_is_zero_within_its_spread() -> None:
    mean, std = kernel_distance(features(500, 1), features(1000, 1)[500:], 50, 200)
    assert abs(mean.item()) < 3 * std.item()
    assert np.isfinite(std.item())


def test_metric_is_the_distance_of_its_rows(toy_assets: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    image, fake = (torch.rand(2, 12, 3, 16, 16, generator=generator) * 2 - 1).unbind()
    metric = KernelDistance("toy_street", num_subsets=5, subset_size=8, seed=3)
    metric.update(image=image, fake=fake)
    mean, std = kernel_distance(*metric.rows(), 5, 8, 3)
    assert metric.compute() == {"kd_toy": mean, "kd_toy_std": std}
    assert metric.protocol().items() >= {"num_subsets": 5, "subset_size": 8, "seed": 3}.items()


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 images in each set, got 1 and 5"):
        kernel_distance(features(1, 1), features(5, 2))
    with pytest.raises(ValueError, match="got 0 and 8"):
        KernelDistance("toy_street", num_subsets=0, subset_size=8)
