from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.metrics import Diversity, diversity
from semsynth.metrics.diversity import mean_pairwise_distance
from semsynth.metrics.features import build_taps


def loop_over_pairs(taps: list[Tensor]) -> Tensor:
    """Mean distance (B,) over all pairs of samples in taps (B, K, C, h, w)."""
    K = taps[0].shape[1]
    distances = [
        sum((t[:, i] - t[:, j]).double().square().sum(dim=1).mean(dim=(1, 2)) for t in taps)
        for i, j in combinations(range(K), 2)
    ]
    return torch.stack([torch.as_tensor(d) for d in distances]).mean(dim=0)


@pytest.mark.parametrize("num_samples", [2, 5])
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_mean_pairwise_distance_equals_loop_over_pairs(num_samples: int, chunk: int) -> None:
    shapes = [(3, num_samples, 6, 8, 4), (3, num_samples, 12, 4, 2)]
    taps = [torch.rand(shape, generator=torch.Generator().manual_seed(0)) for shape in shapes]
    chunks = [
        list(parts) for parts in zip(*(torch.split(t, chunk, dim=1) for t in taps), strict=True)
    ]
    torch.testing.assert_close(
        mean_pairwise_distance(chunks), loop_over_pairs(taps), rtol=1e-10, atol=0
    )


def test_nearly_equal_samples_keep_their_distance() -> None:
    tap = torch.ones(1, 4, 8, 16, 16) + 1e-4 * torch.rand(1, 4, 8, 16, 16)
    torch.testing.assert_close(
        mean_pairwise_distance([[tap]]), loop_over_pairs([tap]), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_metric_is_the_mean_over_masks_however_it_is_cut(
    toy_assets: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    fakes = torch.rand(3, 5, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    monkeypatch.setattr(diversity, "CHUNK", chunk)
    metric = Diversity("toy_street")
    metric.update(fakes=fakes[:1])
    metric.update(fakes=fakes[1:])
    taps = [t.unflatten(0, (3, 5)) for t in build_taps("toy_street")(fakes.flatten(0, 1))]
    (key, value), *rest = metric.compute().items()
    assert (key, rest) == ("diversity_toy", [])
    assert value.item() == pytest.approx(loop_over_pairs(taps).mean().item(), rel=1e-6)


def test_equal_samples_have_no_diversity(toy_assets: Path) -> None:
    metric = Diversity("toy_street")
    metric.update(fakes=torch.rand(2, 1, 3, 16, 16).expand(-1, 4, -1, -1, -1))
    assert 0 <= metric.compute()["diversity_toy"].item() < 1e-12


def test_metric_says_which_trunk_it_used(toy_assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = build_taps("toy_street")
    monkeypatch.setattr(diversity, "build_taps", lambda name: toy)
    assert [Diversity(name).key for name in ("alex", "vgg")] == ["lpips_alex", "lpips_vgg"]


def test_errors_say_what_is_wrong(toy_assets: Path) -> None:
    metric = Diversity("toy_street")
    with pytest.raises(ValueError, match="at least 2, got 1; raise num_samples"):
        metric.update(fakes=torch.zeros(2, 1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"\(B, K, 3, H, W\), got \(2, 3, 16, 16\)"):
        metric.update(fakes=torch.zeros(2, 3, 16, 16))
