"""How well a few labelled samples label others: ``python -m benchmarks.studies.labelling``.

Prints the mean IoU, in per cent, of dense pseudo-labels against a segmenter's, by rule, layers of
the generator and number of shots, with the standard error over sets of shots. The shots are samples
with the segmenter's labels; 32 other samples are scored.
"""

from statistics import mean, stdev

import torch
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from benchmarks.figures.toy_prior import NUM_CLASSES, Rule, label_others, labelled_samples
from semsynth.networks.fewshot.pseudo_labels import DensePrototypes, LinearReadout, stack_features
from semsynth.weights.priors import load_generator

SCORED, SETS = 32, 8
RULES: dict[str, Rule] = {
    "mean": DensePrototypes(NUM_CLASSES),
    "linear": LinearReadout(NUM_CLASSES),
}
LAYERS = ((16,), (32,), (64,), (16, 32), (32, 64), (16, 32, 64))


def main(prior: str = "toy_portrait", shots: tuple[int, ...] = (1, 5)) -> None:
    """Measure and print a line for each rule and choice of layers."""
    console = Console()
    generator = load_generator(prior)
    w_plus, labels = labelled_samples(generator, SCORED + SETS * max(shots))
    console.print("layers, rule, and mean IoU by shots", *shots)
    for layers in LAYERS:
        with torch.no_grad():
            maps = generator.synthesis.features_at(w_plus, layers)
        features = stack_features(maps, max(layers))
        for name, rule in RULES.items():
            cells = [cell(scores(rule, features, labels, count)) for count in shots]
            console.print(f"{'+'.join(map(str, layers)):10} {name:12} {'  '.join(cells)}")


def scores(rule: Rule, features: Tensor, labels: Tensor, count: int) -> list[float]:
    """Mean IoU over the scored samples, by each set of ``count`` shots."""
    sets = [slice(SCORED + i * count, SCORED + (i + 1) * count) for i in range(SETS)]
    return label_others(rule, features, labels, sets, slice(SCORED))


def cell(results: list[float]) -> str:
    """Mean and standard error in per cent."""
    error = stdev(results) / len(results) ** 0.5
    return f"{100 * mean(results):5.1f} +- {100 * error:.1f}"


if __name__ == "__main__":
    auto_cli(main)
