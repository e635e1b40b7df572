"""Quality of a toy prior: ``python -m benchmarks.figures.toy_prior [--prior NAME]``.

Prints the Frechet distance to real portraits beside the floor between real ones, the share of
images in which the segmenter finds every class, how well one labelled sample labels others by
features of each resolution, and how well held-out portraits are inverted. Draws a sheet.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from rich.console import Console
from torch import Tensor

from semsynth.data.toy import PortraitWorld
from semsynth.images import image_grid, save_png, to_uint8
from semsynth.inversion import default_recipe, invert
from semsynth.metrics.features import build_features
from semsynth.metrics.frechet import frechet_distance_from_features
from semsynth.metrics.perceptual import build_taps, tap_distance
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
    network, segmenter = build_features("toy_portrait"), load_segmenter("toy_portrait")
    real = in_batches(render, TEST, 2 * num_samples)
    features = torch.cat([network.features_of(batch) for batch in real.split(64)])
    halves = features.split(num_samples)
    scores = {
        "fd_toy_floor": float(frechet_distance_from_features(*halves)),
        "complete_real": complete(segmenter, real[:num_samples]),
    }
    for truncation in TRUNCATIONS:
        fake = in_batches(partial(draw, generator, truncation), 0, num_samples)
        fakes = torch.cat([network.features_of(batch) for batch in fake.split(64)])
        distance = frechet_distance_from_features(halves[0], fakes)
        scores[f"fd_toy_psi_{truncation}"] = float(distance)
        scores[f"complete_psi_{truncation}"] = complete(segmenter, fake)
    for resolution in generator.synthesis.resolutions[2:]:
        scores[f"one_shot_miou_{resolution}"] = one_shot_miou(generator, segmenter, resolution)
    return {name: round(value, 4) for name, value in scores.items()}


def in_batches(make: Callable[[Tensor], Tensor], first: int, count: int) -> Tensor:
    """Images (count, 3, H, W) by consecutive ids, rounded to 8 bits as if stored."""
    batches = [make(index) for index in torch.arange(first, first + count).split(64)]
    return to_uint8(torch.cat(batches)) / 127.5 - 1


def render(index: Tensor) -> Tensor:
    """Real portraits (B, 3, 64, 64) of the toy world."""
    layout, appearance = WORLD.sample_layout(0, index), WORLD.sample_appearance(0, index)
    return WORLD.render(layout, appearance, 64).image


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
def one_shot_miou(
    generator: StyleGAN2Generator, segmenter: UNet, resolution: int, shots: int = 12
) -> float:
    """Mean IoU of labels by the most similar class mean of one sample (FewShotSMIS' dense rule).

    Averaged over samples that give the class means, against the segmenter, on 64 others.
    """
    w_plus = generator.repeat(generator.mapping(seeded_normal(torch.arange(76), generator.z_dim)))
    features = F.normalize(generator.synthesis.features(w_plus, resolution), dim=1).flatten(2)
    labels = segment(segmenter, generator.synthesis(w_plus).clamp(-1, 1))
    small = F.interpolate(labels[:, None].float(), resolution)[:, 0].long().flatten(1)
    members = F.one_hot(small, NUM_CLASSES).float()  # (N, P, K)
    raw = generator.synthesis.features(w_plus, resolution).flatten(2)
    means = F.normalize(raw[:shots] @ members[:shots], dim=1)  # (S, C, K); a sum points as a mean
    similarity = torch.einsum("ncp,sck->snpk", features[shots:], means)
    absent = members[:shots].sum(1) == 0  # (S, K)
    predicted = similarity.masked_fill(absent[:, None, None], -2).argmax(3)
    grid = predicted.view(-1, 1, resolution, resolution).float()
    predicted = F.interpolate(grid, 64)[:, 0].long().view(shots, -1, 64, 64)
    truth = labels[shots:].expand_as(predicted)
    return sum(mean_iou(p, t) for p, t in zip(predicted, truth, strict=True)) / shots


def mean_iou(predicted: Tensor, truth: Tensor) -> float:
    """Mean IoU over the classes that are there, all pixels of the set counted together."""
    confusion = torch.bincount(
        (truth * NUM_CLASSES + predicted).flatten(), minlength=NUM_CLASSES**2
    ).view(NUM_CLASSES, NUM_CLASSES)
    hit, union = confusion.diag(), confusion.sum(0) + confusion.sum(1) - confusion.diag()
    return float((hit / union)[union > 0].mean())


def measure_inversion(generator: StyleGAN2Generator, count: int, steps: int) -> dict[str, float]:
    """Errors of inverted held-out portraits, by pixels alone and with the toy features.

    The judge of the layout is the segmenter, whose features the second way has minimised.
    """
    index = torch.arange(TEST, TEST + count)
    appearance = WORLD.sample_appearance(0, index)
    image, mask, _ = WORLD.render(WORLD.sample_layout(0, index), appearance, 64)
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
    rows = [render(TEST + index), *[G.synthesis(latents).clamp(-1, 1) for latents in w_plus]]
    return image_grid(list(torch.stack(rows, 1)))


if __name__ == "__main__":
    auto_cli(main)
