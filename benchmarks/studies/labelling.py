"""How well a few labelled samples label others: ``python -m benchmarks.studies.labelling``.

Prints the mean IoU, in per cent, of dense pseudo-labels against a segmenter's, by rule, layers of
the generator and number of shots, with the standard error over sets of shots. The shots are samples
with the segmenter's labels; 32 other samples are scored.
"""

from collections.abc import Callable
from statistics import mean, stdev

import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from benchmarks.figures.toy_prior import NUM_CLASSES, mean_iou, segment
from semsynth.networks.fewshot.pseudo_labels import (
    DensePrototypes,
    LinearReadout,
    downsample_labels,
    stack_features,
)
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import load_segmenter
from semsynth.weights.priors import load_generator

SCORED, SETS = 32, 8
Labeller = DensePrototypes | LinearReadout
RULES: dict[str, Callable[[], Labeller]] = {
    "mean": lambda: DensePrototypes(NUM_CLASSES),
    "linear": lambda: LinearReadout(NUM_CLASSES),
}
LAYERS = ((16,), (32,), (64,), (16, 32), (32, 64), (16, 32, 64))


def main(prior: str = "toy_portrait", shots: tuple[int, ...] = (1, 5)) -> None:
    """Measure and print a line for each rule and choice of layers."""
    console = Console()
    maps, labels = samples(load_generator(prior), SCORED + SETS * max(shots))
    console.print("layers, rule, and mean IoU by shots", *shots)
    for layers in LAYERS:
        features = stack_features([maps[r] for r in layers], max(layers))
        for name, rule in RULES.items():
            cells = [cell(scores(rule, features, labels, count)) for count in shots]
            console.print(f"{'+'.join(map(str, layers)):10} {name:12} {'  '.join(cells)}")


@torch.no_grad()
def samples(generator: StyleGAN2Generator, count: int) -> tuple[dict[int, Tensor], Tensor]:
    """Features by resolution, and label maps (N, H, W), of the first samples of a prior."""
    z = seeded_normal(torch.arange(count), generator.z_dim)
    w_plus = generator.repeat(generator.mapping(z))
    labels = segment(load_segmenter("toy_portrait"), generator.synthesis(w_plus).clamp(-1, 1))
    resolutions = sorted({r for layers in LAYERS for r in layers})
    features = generator.synthesis.features_at(w_plus, resolutions)
    return dict(zip(resolutions, features, strict=True)), labels


def scores(
    rule: Callable[[], Labeller], features: Tensor, labels: Tensor, count: int
) -> list[float]:
    """Mean IoU over the scored samples, by each set of ``count`` shots.

    ``features`` are (N, C, h, w), ``labels`` (N, H, W).
    """
    truth, results = labels[:SCORED], []
    small = downsample_labels(labels, features.shape[-1])
    for i in range(SETS):
        shots = slice(SCORED + i * count, SCORED + (i + 1) * count)
        labeller = rule()
        labeller.fit(features[shots], small[shots])
        found = labeller(features[:SCORED])[:, None].float()
        results.append(mean_iou(F.interpolate(found, truth.shape[-2:])[:, 0].long(), truth))
    return results


def cell(results: list[float]) -> str:
    """Mean and standard error in per cent."""
    error = stdev(results) / len(results) ** 0.5
    return f"{100 * mean(results):5.1f} +- {100 * error:.1f}"


if __name__ == "__main__":
    auto_cli(main)
