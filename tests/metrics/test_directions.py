"""Each metric moves the right way when images get worse in a known way, on the toy world."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from semsynth.data.toy import StreetWorld
from semsynth.metrics import (
    ClassDiversity,
    Diversity,
    FrechetDistance,
    KernelDistance,
    LayoutFidelity,
    PrecisionRecall,
    Top1Similarity,
)

N, SIZE, NAME = 96, 32, "toy_street"
WORLD = StreetWorld()


def render(layout_ids: Tensor, appearance_seed: int) -> tuple[Tensor, Tensor]:
    layout = WORLD.sample_layout(0, layout_ids)
    appearance = WORLD.sample_appearance(appearance_seed, layout_ids)
    image, mask, _ = WORLD.render(layout, appearance, SIZE)
    return image, mask


@pytest.fixture(scope="module")
def world() -> dict[str, Tensor]:
    """Real images, their masks, other appearances of the same layouts, and spoilt versions."""
    ids = torch.arange(N)
    real, mask = render(ids, 0)
    redraws = torch.stack([render(ids, seed)[0] for seed in (1, 2, 3)], dim=1)
    true = redraws[:, 0]
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    return {
        "image": real,
        "mask": mask,
        "redraws": redraws,
        "true": true,
        "blur": gaussian_blur(true, [5, 5], [1.5, 1.5]),
        "strong_blur": gaussian_blur(true, [13, 13], [4.0, 4.0]),
        "noise": (true + 0.2 * noise).clamp(-1, 1),
        "strong_noise": (true + 0.6 * noise).clamp(-1, 1),
        "wrong_layout": render(ids + N, 1)[0],
        "collapse": true[:4].repeat(N // 4, 1, 1, 1),
        "copies": real.flip(0),
    }


def distances(world: dict[str, Tensor], kind: str) -> dict[str, float]:
    metrics = [FrechetDistance(NAME), KernelDistance(NAME, num_subsets=4, subset_size=90)]
    metrics.append(PrecisionRecall(NAME))
    scores: dict[str, float] = {}
    for metric in metrics:
        metric.update(image=world["image"], fake=world[kind])
        scores |= {name: value.item() for name, value in metric.compute().items()}
    return scores


@pytest.fixture(scope="module")
def scores(world: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    spoilt = ("true", "blur", "strong_blur", "noise", "strong_noise", "collapse", "copies")
    return {kind: distances(world, kind) for kind in spoilt}


@pytest.mark.parametrize("name", ["fd_toy", "kd_toy"])
@pytest.mark.parametrize(
    "worse", [("blur", "strong_blur"), ("noise", "strong_noise"), ("collapse",)]
)
def test_distances_grow_with_blur_noise_and_collapse(
    scores: dict[str, dict[str, float]], name: str, worse: tuple[str, ...]
) -> None:
    values = [scores[kind][name] for kind in ("copies", "true", *worse)]
    assert values == sorted(values)
    assert values[-1] > 2 * abs(values[1])


def test_copied_images_have_no_distance_and_true_ones_have_a_small_one(
    scores: dict[str, dict[str, float]],
) -> None:
    assert abs(scores["copies"]["fd_toy"]) < 1e-6
    assert scores["copies"]["kd_toy"] <= scores["true"]["kd_toy"]
    assert scores["copies"]["precision_toy"] == scores["copies"]["recall_toy"] == 1


@pytest.mark.parametrize("kind", ["strong_blur", "strong_noise"])
@pytest.mark.parametrize("name", ["precision_toy", "density_toy", "coverage_toy"])
def test_precision_density_and_coverage_fall_with_blur_and_noise(
    scores: dict[str, dict[str, float]], kind: str, name: str
) -> None:
    assert scores[kind][name] < 0.7 * scores["true"][name]


def test_collapse_costs_recall_and_coverage_but_not_precision(
    scores: dict[str, dict[str, float]],
) -> None:
    collapse, true = scores["collapse"], scores["true"]
    assert collapse["recall_toy"] < 0.2 * true["recall_toy"]
    assert collapse["coverage_toy"] < 0.5 * true["coverage_toy"]
    assert collapse["precision_toy"] > 0.7 * true["precision_toy"]


def test_layout_scores_fall_with_blur_noise_and_most_with_a_wrong_layout(
    world: dict[str, Tensor],
) -> None:
    found = {}
    for kind in ("true", "blur", "noise", "strong_noise", "wrong_layout"):
        metric = LayoutFidelity(NAME)
        metric.update(fake=world[kind], image=world["image"], mask=world["mask"])
        found[kind] = {name: value.item() for name, value in metric.compute().items()}
    for name in ("MeanIoU", "PixelAccuracy", "FrequencyWeightedIoU"):
        of = {kind: scores[name] for kind, scores in found.items()}
        assert of["true"] > of["blur"] > of["wrong_layout"]
        assert of["true"] > of["noise"] > of["strong_noise"]
    assert found["true"]["MeanIoU_ratio"] == pytest.approx(1, abs=0.1)


def test_diversity_falls_with_collapse_and_is_highest_for_true_redraws(
    world: dict[str, Tensor],
) -> None:
    redraws = world["redraws"]
    found = []
    for share in (0.0, 0.3, 1.0):  # how far samples are from the first one
        metric = Diversity(NAME)
        metric.update(fakes=redraws[:, :1] + share * (redraws - redraws[:, :1]))
        found.append(metric.compute()["diversity_toy"].item())
    assert found[0] < 1e-10 < found[1] < found[2]


def test_top1_similarity_finds_a_copied_image_and_suffers_from_noise(
    world: dict[str, Tensor],
) -> None:
    candidates = {
        "copied": torch.cat([world["redraws"], world["image"][:, None]], dim=1),
        "true": world["redraws"],
        "noisy": torch.stack([world["strong_noise"]] * 3, dim=1),
    }
    found = {}
    for kind, fakes in candidates.items():
        metric = Top1Similarity(NAME)
        metric.update(fakes=fakes, image=world["image"])
        found[kind] = metric.compute()["top1_toy"].item()
    assert found["copied"] < 1e-10 < found["true"] < found["noisy"]


def test_other_class_diversity_tells_one_class_from_all(world: dict[str, Tensor]) -> None:
    redraws, mask = world["redraws"], world["mask"]
    largest = torch.nn.functional.one_hot(mask, 8).sum(dim=(1, 2)).argmax(dim=1)
    inside = (mask == largest[:, None, None])[:, None, None]
    one_class = torch.where(inside, redraws, redraws[:, :1])
    found = []
    for varied in (one_class, redraws):
        metric = ClassDiversity(NAME, 8)
        metric.update(varied, largest, mask)
        found.append({name: value.item() for name, value in metric.compute().items()})
    csd, ocd, ratio = "mCSD_toy_spatial", "mOCD_toy_spatial", "mOCD_mCSD_toy_spatial"
    assert found[0][ocd] < 0.5 * found[1][ocd]
    assert found[0][csd] == pytest.approx(found[1][csd], rel=0.3)
    assert found[0][ratio] < 0.5 < found[1][ratio]
