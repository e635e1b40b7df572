"""Quality of a toy prior: ``python -m benchmarks.figures.toy_prior [--prior NAME]``.

Prints the Frechet distance to real portraits beside the floor between real ones, the share of
images in which the segmenter finds every class, how well one labelled sample labels others by
features of each resolution, and how well held-out portraits are inverted. Draws a sheet.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from semsynth.data.toy import PortraitWorld, Rendering
from semsynth.images import image_grid, save_png, to_uint8
from semsynth.inversion import default_recipe, invert
from semsynth.metrics import FrechetDistance
from semsynth.metrics.layout_fidelity import confusion_matrix, iou_per_class
from semsynth.metrics.perceptual import build_taps, tap_distance
from semsynth.networks.fewshot.pseudo_labels import (
    DensePrototypes,
    LinearReadout,
    downsample_labels,
)
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator, mix_styles
from semsynth.networks.unet import UNet
from semsynth.weights import load_segmenter
from semsynth.weights.priors import load_generator

WORLD = PortraitWorld()
NUM_CLASSES = WORLD.label_space.num_classes
TEST = 1 << 41  # first sample of the test split
MIN_PIXELS = 4  # a class with fewer is not found
TRUNCATIONS = (0.7, 1.0)
Rule = DensePrototypes | LinearReadout


def main(
    prior: str = "toy_portrait",
    output: Path = Path("outputs/toy_prior.png"),
    samples: int = 2048,
    inversions: int = 16,
    steps: int = 300,
) -> None:
    """Measure, print and draw a prior, from so many samples and inverted portraits."""
    generator = load_generator(prior)
    save_png(sheet(generator), output)
    scores = measure(generator, samples)
    if inversions:
        scores |= measure_inversion(generator, inversions, steps)
    for name, value in scores.items():
        Console().print(f"{name}: {value}")


def measure(generator: StyleGAN2Generator, num_samples: int) -> dict[str, float]:
    """Distances, shares of complete images, and labels from one shot by resolution."""
    segmenter = load_segmenter("toy_portrait")
    portraits = in_batches(lambda index: render(index).image, TEST, 2 * num_samples)
    real, other = portraits.split(num_samples)
    scores = {"fd_toy_floor": distance(real, other), "complete_real": complete(segmenter, real)}
    for truncation in TRUNCATIONS:
        fake = in_batches(partial(draw, generator, truncation), 0, num_samples)
        scores[f"fd_toy_psi_{truncation}"] = distance(real, fake)
        scores[f"complete_psi_{truncation}"] = complete(segmenter, fake)
    for resolution in generator.synthesis.resolutions[2:]:
        scores[f"one_shot_miou_{resolution}"] = one_shot_miou(generator, resolution)
    return {name: round(value, 4) for name, value in scores.items()}


def distance(real: Tensor, fake: Tensor) -> float:
    """Frechet distance of two sets of images by the toy features."""
    metric = FrechetDistance("toy_portrait")
    for image, other in zip(real.split(64), fake.split(64), strict=True):
        metric.update(image=image, fake=other)
    return float(metric.compute()["fd_toy"])


def in_batches(make: Callable[[Tensor], Tensor], first: int, count: int) -> Tensor:
    """Images (count, 3, H, W) by consecutive ids, rounded to 8 bits as if stored."""
    batches = [make(index) for index in torch.arange(first, first + count).split(64)]
    return to_uint8(torch.cat(batches)) / 127.5 - 1


def render(index: Tensor) -> Rendering:
    """Real portraits (B, 3, 64, 64) of the toy world, with their masks."""
    return WORLD.render(WORLD.sample_layout(0, index), WORLD.sample_appearance(0, index), 64)


@torch.no_grad()
def draw(generator: StyleGAN2Generator, truncation: float, index: Tensor) -> Tensor:
    """Generated portraits (B, 3, 64, 64) by number."""
    return generator(seeded_normal(index, generator.z_dim), truncation).clamp(-1, 1)


@torch.no_grad()
def segment(segmenter: UNet, images: Tensor) -> Tensor:
    """Label maps (B, H, W) of images."""
    return torch.cat([segmenter(batch).argmax(1) for batch in images.split(64)])


def complete(segmenter: UNet, images: Tensor) -> float:
    """Share of images in which the segmenter finds every class."""
    pixels = F.one_hot(segment(segmenter, images), NUM_CLASSES).sum((1, 2))  # (B, K)
    return float((pixels >= MIN_PIXELS).all(1).double().mean())


@torch.no_grad()
def labelled_samples(generator: StyleGAN2Generator, count: int) -> tuple[Tensor, Tensor]:
    """Latents (N, num_ws, w_dim) of the first samples, and the segmenter's labels (N, H, W)."""
    z = seeded_normal(torch.arange(count), generator.z_dim)
    w_plus = generator.repeat(generator.mapping(z))
    images = generator.synthesis(w_plus).clamp(-1, 1)
    return w_plus, segment(load_segmenter("toy_portrait"), images)


def one_shot_miou(generator: StyleGAN2Generator, resolution: int, shots: int = 12) -> float:
    """Mean IoU of labels by the class means of one sample, averaged over such samples."""
    w_plus, labels = labelled_samples(generator, shots + 64)
    with torch.no_grad():
        features = generator.synthesis.features(w_plus, resolution)
    rule, others = DensePrototypes(NUM_CLASSES), slice(shots, None)
    sets = [slice(i, i + 1) for i in range(shots)]
    return mean(label_others(rule, features, labels, sets, others))


def label_others(
    rule: Rule, features: Tensor, labels: Tensor, sets: Sequence[slice], others: slice
) -> list[float]:
    """Mean IoU of what a rule learns from each set of samples, on others.

    Features are (N, C, h, w), labels (N, H, W).
    """
    small, scores = downsample_labels(labels, features.shape[-1]), []
    for shots in sets:
        rule.fit(features[shots], small[shots])
        found = rule(features[others])[:, None].float()
        large = F.interpolate(found, labels.shape[-2:])[:, 0].long()
        scores.append(mean_iou(large, labels[others]))
    return scores


def mean_iou(predicted: Tensor, truth: Tensor) -> float:
    """Mean IoU over the classes that are there, all pixels of the set counted together."""
    return float(iou_per_class(confusion_matrix(predicted, truth, NUM_CLASSES)).nanmean())


def measure_inversion(generator: StyleGAN2Generator, count: int, steps: int) -> dict[str, float]:
    """Errors of inverted held-out portraits, by pixels alone and with the toy features.

    The judge of the layout is the segmenter, whose features the second way has minimised.
    """
    image, mask, _ = render(torch.arange(TEST, TEST + count))
    segmenter, taps = load_segmenter("toy_portrait"), build_taps("toy_portrait")

    def perceptual(a: Tensor, b: Tensor) -> Tensor:
        return tap_distance(taps.taps(a), taps.taps(b)).float()

    scores = {"miou_real": mean_iou(segment(segmenter, image), mask)}
    for name, chosen in (("pixels", None), ("perceptual", perceptual)):
        found = invert(generator, image, default_recipe(steps), chosen)
        with torch.no_grad():
            scores[f"toy_distance_{name}"] = float(perceptual(found.image, image).mean())
        scores[f"mse_{name}"] = float(found.mse.mean())
        scores[f"miou_{name}"] = mean_iou(segment(segmenter, found.image), mask)
        save_png(image_grid([image, found.image]), Path(f"outputs/toy_inversion_{name}.png"))
    return {name: round(value, 4) for name, value in scores.items()}


@torch.no_grad()
def sheet(generator: StyleGAN2Generator, columns: int = 12) -> Tensor:
    """Real portraits, samples at two truncations, an interpolation and mixed styles, row by row."""
    G, index = generator, torch.arange(columns)
    w = G.mapping(seeded_normal(index, G.z_dim))
    t = torch.linspace(0, 1, columns)[:, None]
    mixed = [
        mix_styles(G.repeat(w[i].expand(columns, -1)), G.repeat(w), torch.full((columns,), 4))
        for i in range(2)
    ]
    w_plus: Sequence[Tensor] = (
        *[G.repeat(G.truncate(w, psi)) for psi in TRUNCATIONS],
        G.repeat(w[0].lerp(w[1], t)),
        *mixed,
    )
    rows = [render(TEST + index).image, *[G.synthesis(latents).clamp(-1, 1) for latents in w_plus]]
    return image_grid(list(torch.stack(rows, 1)))


if __name__ == "__main__":
    auto_cli(main)
