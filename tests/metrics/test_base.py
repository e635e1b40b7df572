from pathlib import Path

import pytest
import torch

from semsynth.metrics import (
    FrechetDistance,
    ImageMetric,
    KernelDistance,
    LayoutFidelity,
    PrecisionRecall,
)


def build(kind: type[ImageMetric]) -> ImageMetric:
    return kind("toy_street")  # type: ignore[call-arg]  # each takes the name of a network


def batch(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, fake = (torch.rand(2, 9, 3, 16, 16, generator=generator) * 2 - 1).unbind()
    return {"image": image, "fake": fake}


KINDS = [FrechetDistance, KernelDistance, PrecisionRecall, LayoutFidelity]


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_statistics_stand_for_the_real_images(
    toy_assets: Path, kind: type[ImageMetric]
) -> None:
    mask = torch.randint(0, 5, (9, 16, 16), generator=torch.Generator().manual_seed(2))
    inputs = {**batch(0), "mask": mask} if kind is LayoutFidelity else batch(0)
    metric, other = build(kind), build(kind)
    metric.update(**inputs)
    expected = metric.compute()
    other.load_real_state(metric.real_state())
    for _ in range(2):  # also after a reset
        other.reset()
        other.update(**{**inputs, "image": batch(5)["image"]})
        assert other.compute() == expected
    assert other.real_state().keys() == set(kind.real_states)


def test_statistics_can_be_forgotten(toy_assets: Path) -> None:
    metric = FrechetDistance("toy_street")
    metric.load_real_state({name: torch.zeros(()) for name in metric.real_states})
    metric.load_real_state(None)
    metric.update(**batch(0))
    assert metric.real_state()["num_real"] == 9


def test_statistics_of_another_metric_are_refused(toy_assets: Path) -> None:
    with pytest.raises(ValueError, match=r"FrechetDistance needs.*sum_real.*have \['rows'\]"):
        FrechetDistance("toy_street").load_real_state({"rows": torch.zeros(2)})
