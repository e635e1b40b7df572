import math

import pytest
import torch
from torch import Tensor

from semsynth.networks.noise import hash_int64, sample_seed, seeded_normal, seeded_uniform

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The generator's output function in Python's unbounded integers."""
    x = state & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def signed(x: int) -> int:
    return x - (1 << 64) if x >= 1 << 63 else x


@pytest.mark.parametrize("state", [0, 1, 0x9E3779B97F4A7C15, MASK, 1 << 63, 123456789])
def test_hash_equals_splitmix64_in_python_integers(state: int) -> None:
    assert hash_int64(torch.tensor([signed(state)])).item() == signed(splitmix64(state))


def test_first_output_of_splitmix64_is_the_published_one() -> None:
    golden = torch.tensor([signed(0x9E3779B97F4A7C15)])  # state after one step from seed 0
    assert hash_int64(golden).item() == signed(0xE220A8397B1DCDAF)


def uniform_by_hand(seed: int, count: int) -> list[float]:
    states = (splitmix64(seed) + i * 0x9E3779B97F4A7C15 for i in range(1, count + 1))
    return [((splitmix64(state) >> 11) + 0.5) * 2.0**-53 for state in states]


def test_noise_equals_box_muller_in_python_numbers() -> None:
    uniform = uniform_by_hand(7, 6)
    expected = [
        math.sqrt(-2 * math.log(r)) * math.cos(2 * math.pi * a)
        for r, a in zip(uniform[:3], uniform[3:], strict=True)
    ]
    torch.testing.assert_close(seeded_normal(torch.tensor([7]), 3), torch.tensor([expected]))


def test_noise_has_the_moments_of_a_standard_normal() -> None:
    x = seeded_normal(sample_seed(0, torch.arange(20)), 100, 100).double()
    assert x.mean().item() == pytest.approx(0, abs=0.01)  # 4.5 standard errors
    assert x.var().item() == pytest.approx(1, abs=0.015)
    assert x.pow(3).mean().item() == pytest.approx(0, abs=0.04)
    assert x.pow(4).mean().item() == pytest.approx(3, abs=0.1)
    assert (x < 1).double().mean().item() == pytest.approx(0.8413, abs=0.004)


def test_noise_of_a_sample_does_not_depend_on_its_batch() -> None:
    index = torch.tensor([5, 0, 9])
    together = seeded_normal(sample_seed(3, index), 4, 2)
    alone = seeded_normal(sample_seed(3, index[2:]), 4, 2)
    assert together.shape == (3, 4, 2)
    assert torch.equal(together[2:], alone)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


@pytest.mark.parametrize(
    ("seed", "index", "draw"), [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ids=["seed", "index", "draw"]
)
def test_noise_of_other_seed_sample_or_draw_differs(seed: int, index: int, draw: int) -> None:
    one = seeded_normal(sample_seed(0, torch.tensor([0]), 0), 40_000)
    other = seeded_normal(sample_seed(seed, torch.tensor([index]), draw), 40_000)
    assert abs(correlation(one, other)) < 0.025  # 5 standard errors
    assert abs(correlation(one[:, 1:], other[:, :-1])) < 0.025


def test_sample_seeds_are_distinct_over_samples_and_draws() -> None:
    index = torch.arange(1000)
    seeds = torch.cat([sample_seed(s, index, d) for s in range(4) for d in range(4)])
    assert len(set(seeds.tolist())) == 16_000


def test_uniform_noise_equals_splitmix64_in_python_numbers() -> None:
    noise = seeded_uniform(torch.tensor([7]), 2, 3)
    expected = torch.tensor(uniform_by_hand(7, 6), dtype=torch.float64).view(1, 2, 3)
    torch.testing.assert_close(noise, expected)
