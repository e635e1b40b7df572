from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.metrics import Diversity, Top1Similarity, diversity
from semsynth.metrics.pairs import Pairing, Preset, choose_pairs
from semsynth.metrics.perceptual import Trunk, build_taps

from .conftest import reference_lpips

pytestmark = pytest.mark.filterwarnings("ignore:.*bytes, not the:UserWarning")  # random trunks


def samples(num_masks: int, num_samples: int, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (num_masks, num_samples, 3, size, size + 8)
    return torch.randint(0, 256, shape, generator=generator) / 127.5 - 1


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize(
    ("pairs", "key"),
    [
        ("all", "diversity_toy"),
        ("consecutive", "diversity_toy_consecutive"),
        ("random", "diversity_toy_random"),
    ],
)
def test_metric_is_the_mean_over_masks_of_the_mean_over_pairs(
    toy_assets: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, pairs: Pairing, key: str
) -> None:
    fakes = samples(3, 5)
    monkeypatch.setattr(diversity, "CHUNK", chunk)
    metric = Diversity("toy_street", pairs=pairs, num_pairs=4)
    metric.update(fakes=fakes[:1])
    metric.update(fakes=fakes[1:])
    network = build_taps("toy_street")
    means = torch.stack(
        [
            torch.stack([network.distance(fakes[:, i], fakes[:, j])]).mean(dim=0)
            for i, j in choose_pairs(pairs, 5, 4).tolist()
        ]
    ).mean(dim=0)
    scores = metric.compute()
    assert scores.keys() == {key, f"{key}_stderr"}
    assert scores[key].item() == pytest.approx(means.mean().item(), rel=1e-6)
    assert scores[f"{key}_stderr"].item() == pytest.approx(means.std().item() / 3**0.5, rel=1e-5)


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_diversity_equals_lpips_over_all_pairs(random_trunks: Path, trunk: Trunk) -> None:
    fakes = samples(2, 3, size=40)
    metric, reference = Diversity(trunk), reference_lpips(trunk)
    metric.update(fakes=fakes)
    pairs = list(combinations(range(3), 2))
    expected = [reference(fakes[:, i], fakes[:, j]).mean().item() for i, j in pairs]
    found = metric.compute()[f"lpips_{trunk}"].item()
    assert found == pytest.approx(sum(expected) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("preset", "key", "card"),
    [
        ("bicyclegan", "lpips_bicyclegan", ("lpips_alex_v0.0", 20, "consecutive", 0)),
        ("msgan", "lpips_msgan", ("lpips_alex", 50, "random", 50)),
        ("oasis-vgg", "lpips_oasis", ("lpips_vgg", 20, "all", 0)),
        ("clvae", "lpips_clvae", ("lpips_alex", 40, "all", 0)),
    ],
)
def test_presets_are_those_of_the_papers(
    random_trunks: Path, preset: Preset, key: str, card: tuple[str, int, str, int]
) -> None:
    metric = Diversity(preset=preset)
    assert metric.key == key
    protocol = metric.protocol() | {"num_samples": metric.num_samples}
    assert tuple(protocol[k] for k in ("network", "num_samples", "pairs", "num_pairs")) == card
    with pytest.raises(ValueError, match=f"compares {card[1]} samples of each mask, got 3"):
        metric.update(fakes=samples(1, 3))


def test_masks_may_have_different_numbers_of_samples(toy_assets: Path) -> None:
    metric, means = Diversity("toy_street"), []
    for fakes in (samples(1, 4), samples(1, 3)):
        metric.update(fakes=fakes)
        alone = Diversity("toy_street")
        alone.update(fakes=fakes)
        means.append(alone.compute()["diversity_toy"].item())
    assert metric.compute()["diversity_toy"].item() == pytest.approx(sum(means) / 2)


def test_one_mask_has_no_standard_error(toy_assets: Path) -> None:
    metric = Diversity("toy_street")
    metric.update(fakes=samples(1, 3))
    assert metric.compute().keys() == {"diversity_toy"}


def test_top1_similarity_is_the_distance_of_the_nearest_sample_in_l1(toy_assets: Path) -> None:
    fakes, image = samples(4, 5), samples(4, 6)[:, 5]
    metric = Top1Similarity("toy_street")
    metric.update(fakes=fakes, image=image)
    nearest = [
        min(range(5), key=lambda k, b=b: (fakes[b, k] - image[b]).abs().sum().item())  # type: ignore[misc]
        for b in range(4)
    ]
    chosen = torch.stack([fakes[b, k] for b, k in enumerate(nearest)])
    expected = build_taps("toy_street").distance(chosen, image)
    scores = metric.compute()
    assert scores["top1_toy"].item() == pytest.approx(expected.mean().item())
    assert scores["top1_toy_stderr"].item() == pytest.approx(expected.std().item() / 2, rel=1e-5)


def test_top1_similarity_wants_images_of_one_size(toy_assets: Path) -> None:
    with pytest.raises(
        ValueError, match=r"of the same size, got \(2, 3, 3, 16, 24\) and \(2, 3, 8, 8"
    ):
        Top1Similarity("toy_street").update(samples(2, 3), torch.zeros(2, 3, 8, 8))
