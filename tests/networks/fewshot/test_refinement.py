import pytest
import torch
from torch import Tensor

from semsynth.networks.fewshot.refinement import (
    NUM_SAMPLES,
    Directions,
    principal_directions,
    refine,
)
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator


@pytest.fixture
def generator() -> StyleGAN2Generator:
    torch.manual_seed(0)
    return StyleGAN2Generator(16, 8, 8, 2, 64, 8)


@pytest.fixture
def directions(generator: StyleGAN2Generator) -> Directions:
    return principal_directions(generator, 3)


TARGET = seeded_normal(torch.arange(2), 6, 8)


def distance(w_plus: Tensor) -> Tensor:
    return (w_plus - TARGET).square().mean((1, 2))


def test_directions_are_those_of_torch(
    generator: StyleGAN2Generator, directions: Directions
) -> None:
    w = generator.mapping(seeded_normal(torch.arange(NUM_SAMPLES), 8)).detach()
    covariance = torch.cov(w.t(), correction=0)
    expected = torch.linalg.eigvalsh(covariance).flip(0)[:3]
    torch.testing.assert_close(directions.variance, expected, rtol=1e-3, atol=1e-6)
    for basis, variance in zip(directions.basis, directions.variance, strict=True):
        torch.testing.assert_close(covariance @ basis, variance * basis, rtol=1e-2, atol=1e-5)


def test_before_the_first_step_the_paper_shares_the_first_latent(directions: Directions) -> None:
    w_plus = seeded_normal(torch.arange(2) + 9, 6, 8)
    found = refine(w_plus, directions, distance, num_coarse=4, steps=0)
    expected = torch.cat([w_plus[:, :1].expand(-1, 4, -1), w_plus[:, 4:]], 1)
    assert torch.equal(found.w_plus, expected)
    apart = refine(w_plus, directions, distance, num_coarse=4, steps=0, shared=False)
    assert torch.equal(apart.w_plus, w_plus)


@pytest.mark.parametrize("shared", [True, False])
def test_latents_move_in_the_directions_as_loss_falls(directions: Directions, shared: bool) -> None:
    w_plus = seeded_normal(torch.arange(2) + 9, 6, 8)
    start = refine(w_plus, directions, distance, 4, shared, steps=0).w_plus
    found = refine(w_plus, directions, distance, 4, shared, steps=30)
    moved = found.w_plus - start
    assert (found.last < found.first).all()
    assert moved[:, 4:].abs().max() == 0
    inside = moved @ directions.basis.t() @ directions.basis
    torch.testing.assert_close(moved, inside, rtol=0, atol=1e-5)
    assert torch.allclose(moved[:, 0], moved[:, 1]) == shared


def test_an_image_does_not_depend_on_the_others(directions: Directions) -> None:
    w_plus = seeded_normal(torch.arange(2) + 9, 6, 8)
    together = refine(w_plus, directions, distance, 4, steps=5).w_plus
    alone = refine(w_plus[:1], directions, lambda w: distance(w.expand(2, -1, -1))[:1], 4, steps=5)
    torch.testing.assert_close(together[:1], alone.w_plus)


def test_the_prior_keeps_latents_near_the_mean(directions: Directions) -> None:
    w_plus = directions.mean.expand(2, 6, -1)
    free, held = (
        refine(w_plus, directions, distance, 4, False, steps=30, prior_weight=weight).w_plus
        for weight in (0.0, 10.0)
    )
    assert (held - w_plus).norm() < 0.5 * (free - w_plus).norm()


def test_progress_is_told_after_each_step(directions: Directions) -> None:
    w_plus = seeded_normal(torch.arange(1), 6, 8)
    told: list[tuple[int, int]] = []
    refine(w_plus, directions, distance, 4, steps=3, progress=lambda *steps: told.append(steps))
    assert told == [(1, 3), (2, 3), (3, 3)]
