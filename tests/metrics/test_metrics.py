"""What all metrics promise: any batches, any processes, the same number."""

import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_sum

from semsynth import metrics, weights

NUM_IMAGES, NUM_CLASSES = 7, 5


def build_metrics() -> list[Metric]:
    return [
        metrics.Diversity("toy_street"),
        metrics.FrechetDistance("toy_street"),
        metrics.LayoutFidelity("toy_street"),
    ]


def make_batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    fakes = torch.rand(NUM_IMAGES, 3, 3, 16, 16, generator=generator) * 2 - 1
    image = torch.rand(NUM_IMAGES, 3, 16, 16, generator=generator) * 2 - 1
    mask = torch.randint(0, NUM_CLASSES, (NUM_IMAGES, 16, 16), generator=generator)
    return {"fake": fakes[:, 0], "fakes": fakes, "image": image, "mask": mask}


def update(metric: Metric, batch: dict[str, Tensor], images: slice) -> None:
    metric.update(**{k: batch[k][images] for k in inspect.signature(metric.update).parameters})


def compute_together(rank: int, world_size: int, folder: Path) -> None:
    weights.ASSETS = folder
    all_metrics, batch = build_metrics(), make_batch()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world_size
    )
    for metric in all_metrics:
        update(metric, batch, slice(rank, None, world_size))
    torch.save([metric.compute() for metric in all_metrics], folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def score(all_metrics: list[Metric], batches: list[slice]) -> list[dict[str, float]]:
    for metric in all_metrics:
        for images in batches:
            update(metric, make_batch(), images)
    return [as_numbers(metric.compute()) for metric in all_metrics]


def as_numbers(scores: dict[str, Tensor]) -> dict[str, float]:
    return {key: value.item() for key, value in scores.items()}


def test_two_processes_equal_one(toy_assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # the children import this file
    spawn(compute_together, (2, toy_assets), nprocs=2)
    expected = score(build_metrics(), [slice(None)])
    for rank in range(2):
        for together, alone in zip(torch.load(toy_assets / f"{rank}.pt"), expected, strict=True):
            assert as_numbers(together) == pytest.approx(alone, rel=1e-6)


def test_merged_metrics_equal_one(toy_assets: Path) -> None:
    alone = score(build_metrics(), [slice(0, 7)])
    for first, second, expected in zip(build_metrics(), build_metrics(), alone, strict=True):
        update(first, make_batch(), slice(0, 3))
        update(second, make_batch(), slice(3, 7))
        first.merge_state(second)
        assert as_numbers(first.compute()) == pytest.approx(expected, rel=1e-6)


def test_order_and_size_of_batches_do_not_matter(toy_assets: Path) -> None:
    first = score(build_metrics(), [slice(0, 7)])
    second = score(build_metrics(), [slice(5, 7), slice(1, 5), slice(0, 1)])
    for ours, expected in zip(second, first, strict=True):
        assert ours == pytest.approx(expected, rel=1e-6)


def test_reset_forgets(toy_assets: Path) -> None:
    all_metrics = build_metrics()
    first = score(all_metrics, [slice(0, 4)])
    for metric in all_metrics:
        metric.reset()
    assert score(all_metrics, [slice(0, 4)]) == first


def test_states_are_sums_in_64_bits_and_networks_do_not_train(toy_assets: Path) -> None:
    for metric in build_metrics():
        metric.to("cpu").float().half().train()
        assert set(metric._reductions.values()) == {dim_zero_sum}
        for name in metric._defaults:
            assert getattr(metric, name).dtype in (torch.float64, torch.int64)
        assert not any(p.requires_grad for p in metric.parameters())
        assert not any(m.training for child in metric.children() for m in child.modules())
