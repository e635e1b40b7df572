"""The StyleGAN2 prior that ships."""

from typing import Any

import pytest
import torch

from benchmarks.figures.toy_prior import complete, draw, render
from semsynth.metrics.features import build_features
from semsynth.metrics.frechet import frechet_distance_from_features
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import load_segmenter
from semsynth.weights.priors import find_prior, load_generator, read_card


@pytest.fixture(scope="module")
def generator() -> StyleGAN2Generator:
    return load_generator("toy_portrait")


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    found = read_card(find_prior("toy_portrait"))
    assert found["images_seen"]
    assert found["fd_toy_psi_1.0"]
    return found


def test_the_segmenter_finds_every_class_as_often_as_the_card_says(
    generator: StyleGAN2Generator, card: dict[str, Any]
) -> None:
    images = draw(generator, 0.7, torch.arange(5000, 5128))
    share = complete(load_segmenter("toy_portrait"), images)
    assert share == pytest.approx(card["complete_psi_0.7"], abs=0.08)


def test_its_features_come_close_to_those_of_real_portraits(generator: StyleGAN2Generator) -> None:
    extractor = build_features("toy_portrait")
    real = extractor.features_of(render(torch.arange(256)).image)
    fake = extractor.features_of(draw(generator, 1.0, torch.arange(256)))
    noise = extractor.features_of(torch.rand(256, 3, 64, 64) * 2 - 1)
    distance, worst = (float(frechet_distance_from_features(real, x)) for x in (fake, noise))
    assert distance < 0.2 * worst
