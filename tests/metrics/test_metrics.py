"""What all metrics promise: any batches, any order, any processes, the same number."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.spawn import start_processes
from torchmetrics.utilities import dim_zero_cat, dim_zero_sum

from semsynth import metrics, weights
from semsynth.metrics import ImageMetric
from semsynth.networks.motion.geometry import Motion
from semsynth.networks.motion.marks import Marks
from tests.helpers.killed import START

NUM_IMAGES, NUM_CLASSES = 7, 5


def flow_of_brightness(image_a: Tensor, image_b: Tensor) -> Motion:
    """A stand-in for an estimator: some motion that depends on both images."""
    difference = (image_a - image_b).double()
    return Motion(difference[:, :2], difference[:, 2:], torch.ones_like(difference[:, :1]).bool())


def build_metrics() -> list[ImageMetric]:
    name = "toy_street"
    return [
        metrics.ClassDiversity(name, NUM_CLASSES, num_levels=2),
        metrics.Diversity(name),
        metrics.Diversity(name, "consecutive"),
        metrics.Diversity(name, "random", num_pairs=2),
        metrics.EditingAccuracy(flow_of_brightness),
        metrics.FrechetDistance(name),
        metrics.KernelDistance(name, num_subsets=5, subset_size=4),
        metrics.LayoutFidelity(name),
        metrics.PrecisionRecall(name, k=1, k_density=2),
        metrics.Reconstruction(name),
        metrics.ReconstructionFrechet(name),
        metrics.SegmentationQuality(NUM_CLASSES),
        metrics.Top1Similarity(name),
        metrics.TrackingAccuracy(),
    ]


def make_batch() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    fakes = torch.rand(NUM_IMAGES, 3, 3, 16, 16, generator=generator) * 2 - 1
    fakes[:, :, :, 4:12, 4:12] *= torch.rand(NUM_IMAGES, 3, 1, 1, 1, generator=generator)
    image = torch.rand(NUM_IMAGES, 3, 16, 16, generator=generator) * 2 - 1
    mask = torch.randint(0, NUM_CLASSES, (NUM_IMAGES, 16, 16), generator=generator)
    points = torch.rand(NUM_IMAGES, 6, 2, generator=generator) * 15
    motions = torch.randint(-1, 2, (NUM_IMAGES, 6, 3), generator=generator).float()
    return {
        "fake": fakes[:, 0],
        "fakes": fakes,
        "image": image,
        "mask": mask,
        "predicted": mask.roll(1, dims=2),
        "varied": fakes,
        "varied_class": torch.arange(NUM_IMAGES) % NUM_CLASSES,
        "varied_level0": fakes[:, :2],
        "varied_level1": fakes[:, 1:],
        "edited": fakes[:, 1],
        "landmarks": torch.randn(NUM_IMAGES, 4, 8, 8, generator=generator),
        "edited_landmarks": torch.randn(NUM_IMAGES, 4, 8, 8, generator=generator),
        "reconstruction": fakes[:, 2],
        "marks": Marks(points, motions, torch.rand(NUM_IMAGES, 6, generator=generator) < 0.8),
    }


def update(metric: ImageMetric, batch: dict[str, Any], images: slice) -> None:
    if isinstance(metric, metrics.SegmentationQuality):
        batch = batch | {"fake": batch["predicted"]}
    batch = batch | {"marks": Marks(*(part[images] for part in batch["marks"]))}
    metric.update(**{k: batch[k] if k == "marks" else batch[k][images] for k in metric.wants})


def compute_together(rank: int, world_size: int, folder: Path) -> None:
    weights.ASSETS = folder
    all_metrics, batch = build_metrics(), make_batch()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world_size
    )
    for metric in all_metrics:
        update(metric, batch, slice(rank, None, world_size))
    states = []
    for metric in all_metrics:
        with metric.sync_context():
            states.append(metric.real_state())
    torch.save(([metric.compute() for metric in all_metrics], states), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def score(all_metrics: list[ImageMetric], batches: list[slice]) -> list[dict[str, str]]:
    for metric in all_metrics:
        for images in batches:
            update(metric, make_batch(), images)
    return [as_printed(metric.compute()) for metric in all_metrics]


def as_printed(scores: dict[str, Tensor]) -> dict[str, str]:
    """Six digits: more than any table prints."""
    return {key: f"{value.item():.6g}" for key, value in scores.items()}


def test_every_metric_is_tested_here(toy_assets: Path) -> None:
    tested = {type(metric) for metric in build_metrics()}
    kinds = {getattr(metrics, name) for name in metrics.__all__} - {ImageMetric}
    assert tested == kinds


def test_two_processes_equal_one(toy_assets: Path) -> None:
    start_processes(compute_together, (2, toy_assets), nprocs=2, start_method=START)
    expected = score(build_metrics(), [slice(None)])
    for rank in range(2):
        together, states = torch.load(toy_assets / f"{rank}.pt")
        assert [as_printed(scores) for scores in together] == expected
        # The statistics of the real images of all processes make the same score
        for metric, state, scores in zip(build_metrics(), states, expected, strict=True):
            if state:
                metric.load_real_state(state)
                update(metric, make_batch(), slice(None))
                assert as_printed(metric.compute()) == scores


def test_merged_metrics_equal_one(toy_assets: Path) -> None:
    alone = score(build_metrics(), [slice(0, 7)])
    for first, second, expected in zip(build_metrics(), build_metrics(), alone, strict=True):
        update(first, make_batch(), slice(0, 3))
        update(second, make_batch(), slice(3, 7))
        first.merge_state(second)
        assert as_printed(first.compute()) == expected


def test_order_and_size_of_batches_do_not_matter(toy_assets: Path) -> None:
    first = score(build_metrics(), [slice(0, 7)])
    second = score(build_metrics(), [slice(5, 7), slice(1, 5), slice(0, 1)])
    single = score(build_metrics(), [slice(i, i + 1) for i in (3, 6, 0, 2, 1, 5, 4)])
    assert first == second == single


def test_reset_forgets(toy_assets: Path) -> None:
    all_metrics = build_metrics()
    first = score(all_metrics, [slice(0, 4)])
    for metric in all_metrics:
        metric.reset()
    assert score(all_metrics, [slice(0, 4)]) == first


def test_states_are_sums_in_64_bits_or_rows_and_networks_do_not_train(toy_assets: Path) -> None:
    for metric in build_metrics():
        metric.to("cpu").float().half().train()
        for name, reduction in metric._reductions.items():
            if isinstance(metric._defaults[name], list):
                assert reduction is dim_zero_cat
                continue
            assert reduction is dim_zero_sum
            assert getattr(metric, name).dtype in (torch.float64, torch.int64)
        assert not any(p.requires_grad for p in metric.parameters())
        assert not any(m.training for child in metric.children() for m in child.modules())


def test_every_protocol_names_its_metric_and_is_json(toy_assets: Path) -> None:
    for metric in build_metrics():
        card = metric.protocol()
        assert card["metric"] == type(metric).__name__
        assert json.loads(json.dumps(card)) == card
