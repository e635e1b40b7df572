from itertools import combinations

import pytest
import torch
from torch import Tensor

from semsynth.metrics.pairs import (
    PRESETS,
    choose_pairs,
    mean_distance_of_all,
    mean_pair_distance,
    require_samples,
)


def loop_over_pairs(taps: list[Tensor], pairs: list[tuple[int, int]]) -> Tensor:
    """Mean distance (B,) over pairs of samples in taps (B, K, C, h, w)."""
    distances = [
        sum((t[:, i] - t[:, j]).double().square().sum(dim=1).mean(dim=(1, 2)) for t in taps)
        for i, j in pairs
    ]
    return torch.stack([torch.as_tensor(d) for d in distances]).mean(dim=0)


@pytest.mark.parametrize("num_samples", [2, 5])
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_mean_distance_of_all_equals_loop_over_pairs(num_samples: int, chunk: int) -> None:
    shapes = [(3, num_samples, 6, 8, 4), (3, num_samples, 12, 4, 2)]
    taps = [torch.rand(shape, generator=torch.Generator().manual_seed(0)) for shape in shapes]
    chunks = [
        list(parts) for parts in zip(*(torch.split(t, chunk, dim=1) for t in taps), strict=True)
    ]
    expected = loop_over_pairs(taps, list(combinations(range(num_samples), 2)))
    torch.testing.assert_close(mean_distance_of_all(chunks), expected, rtol=1e-10, atol=0)


def test_nearly_equal_samples_keep_their_distance() -> None:
    tap = torch.ones(1, 4, 8, 16, 16) + 1e-4 * torch.rand(1, 4, 8, 16, 16)
    expected = loop_over_pairs([tap], list(combinations(range(4), 2)))
    torch.testing.assert_close(mean_distance_of_all([[tap]]), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("pairs", [[(0, 1), (1, 2), (2, 3)], [(3, 1), (0, 2)]])
def test_mean_pair_distance_equals_loop_over_pairs(
    pairs: list[tuple[int, int]], chunk: int
) -> None:
    fakes = torch.rand(3, 4, 3, 8, 6, generator=torch.Generator().manual_seed(0))

    def see(images: Tensor) -> list[Tensor]:
        return [images, images[..., ::2, ::2].square()]

    taps = [t.unflatten(0, (3, 4)) for t in see(fakes.flatten(0, 1))]
    found = mean_pair_distance(see, fakes, torch.tensor(pairs), chunk)
    torch.testing.assert_close(found, loop_over_pairs(taps, pairs), rtol=1e-6, atol=0)


def test_pairs_are_those_of_the_papers() -> None:
    consecutive = choose_pairs("consecutive", PRESETS["bicyclegan"].num_samples)
    assert consecutive.tolist() == [[i, i + 1] for i in range(19)]
    every = choose_pairs("all", PRESETS["clvae"].num_samples)
    msgan = PRESETS["msgan"]
    drawn, again = (choose_pairs("random", msgan.num_samples, msgan.num_pairs) for _ in "ab")
    assert drawn.equal(again)
    for pairs, number in ((every, 780), (drawn, 50)):
        assert len(pairs.unique(dim=0)) == len(pairs) == number
        assert (pairs[:, 0] < pairs[:, 1]).all()


@pytest.mark.parametrize("num_pairs", [0, 4])
def test_impossible_numbers_of_pairs_are_refused(num_pairs: int) -> None:
    with pytest.raises(
        ValueError, match=rf"num_pairs must be in 1\.\.3 for 3 samples, got {num_pairs};"
    ):
        choose_pairs("random", 3, num_pairs)


def test_what_is_not_samples_of_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1; raise num_samples"):
        require_samples(torch.zeros(2, 1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"\(B, K, 3, H, W\), got \(2, 3, 16, 16\)"):
        require_samples(torch.zeros(2, 3, 16, 16))
