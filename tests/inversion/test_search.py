from dataclasses import replace

import pytest
import torch

from semsynth.inversion import Recipe, default_recipe, invert, upstream_recipe
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from tests.helpers.small_prior import small_generator


@pytest.fixture(scope="module")
def generator() -> StyleGAN2Generator:
    generator = small_generator(1000)
    for block in generator.synthesis.blocks:
        for conv in block.convs:  # type: ignore[union-attr]
            conv.noise_strength.fill_(0.05)
    return generator


@pytest.fixture(scope="module")
def image(generator: StyleGAN2Generator) -> torch.Tensor:
    with torch.no_grad():
        drawn: torch.Tensor = generator(seeded_normal(torch.arange(100, 103), 8))
    return drawn / drawn.abs().amax()


RECIPES = {"default": default_recipe(60), "upstream": upstream_recipe(60)}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_inversion_comes_closer_than_the_mean_latent(
    generator: StyleGAN2Generator, image: torch.Tensor, recipe: Recipe
) -> None:
    start = generator.repeat(generator.mean_latent.expand(3, -1))
    with torch.no_grad():
        before = (generator.synthesis(start) - image).square().mean((1, 2, 3))
    found = invert(generator, image, recipe)
    assert (found.mse < 0.5 * before).all()
    again = generator.synthesis(found.w_plus, found.noise)
    torch.testing.assert_close(found.mse, (again - image).square().mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("recipe", "starts", "steps"),
    [(RECIPES["default"], 1, 8), (RECIPES["upstream"], 1, 8), (RECIPES["default"], 3, 4)],
)
def test_an_image_gives_the_same_latents_in_every_batch(
    generator: StyleGAN2Generator, image: torch.Tensor, recipe: Recipe, starts: int, steps: int
) -> None:
    stages = tuple((space, steps) for space, _ in recipe.stages)
    recipe = replace(recipe, stages=stages, starts=starts)
    together = invert(generator, image, recipe)
    alone = invert(generator, image[2:], recipe, index=torch.tensor([2]))
    assert together.w_plus.shape == (3, generator.num_ws, generator.w_dim)
    if recipe.noise == "optimised":
        assert {len(noise) for noise in together.noise} == {3}
    torch.testing.assert_close(together.w_plus[2:], alone.w_plus, rtol=1e-3, atol=1e-3)


def test_a_start_at_the_image_itself_is_found_and_kept(generator: StyleGAN2Generator) -> None:
    z = seeded_normal(torch.arange(100, 103), 8)  # of the samples that are looked at
    with torch.no_grad():
        w_plus = generator.repeat(generator.mapping(z))
        image = generator.synthesis(w_plus, "stored")
    recipe = replace(default_recipe(), noise="stored", noise_weight=0.0, latent_noise=0.0, lr=1e-4)
    recipe = replace(recipe, stages=(("w", 2), ("w_plus", 2)), scales=1)
    told: list[torch.Tensor] = []
    one = invert(generator, image, recipe)
    some = invert(
        generator, image, replace(recipe, starts=2), progress=lambda _, losses: told.append(losses)
    )
    assert (some.mse < 1e-3 * one.mse).all()
    torch.testing.assert_close(some.w_plus, w_plus, atol=1e-2, rtol=0)
    assert [len(losses) for losses in told] == [3] * 4
    assert (told[0] < 1e-6).all()  # of each image the best


def test_no_start_is_refused() -> None:
    with pytest.raises(ValueError, match="starts must be at least 1, got 0"):
        replace(default_recipe(), starts=0)


def test_latents_of_the_first_stage_lie_in_w(
    generator: StyleGAN2Generator, image: torch.Tensor
) -> None:
    found = invert(generator, image, replace(default_recipe(), stages=(("w", 12),)))
    assert torch.equal(found.w_plus, found.w_plus[:, :1].expand_as(found.w_plus))


def test_the_perceptual_distance_is_minimised_and_reported(
    generator: StyleGAN2Generator, image: torch.Tensor
) -> None:
    def darkness(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a + 1).square().mean((1, 2, 3))

    recipe = replace(default_recipe(40), perceptual_weight=100.0)
    with_it = invert(generator, image, recipe, darkness)
    without = invert(generator, image, recipe)
    assert without.perceptual.isnan().all()
    assert (with_it.perceptual < darkness(without.image, image)).all()


def test_optimised_noise_maps_stay_white(
    generator: StyleGAN2Generator, image: torch.Tensor
) -> None:
    found = invert(generator, image, default_recipe(40))
    assert not isinstance(found.noise, str)
    for level in found.noise:
        assert level.shape[0] == 3
        torch.testing.assert_close(level.mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(level.square().mean((1, 2, 3)), torch.ones(3))
    stored = generator.synthesis.stored_noise()
    assert not torch.equal(found.noise[-1][:1], stored[-1])  # and the generator keeps its own


def test_the_generator_is_left_as_it_was(
    generator: StyleGAN2Generator, image: torch.Tensor
) -> None:
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    invert(generator, image, default_recipe(4))
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())
    assert all(p.grad is None for p in generator.parameters())


def test_a_single_image_without_batch_axis_is_refused(generator: StyleGAN2Generator) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 16, 16\)"):
        invert(generator, torch.zeros(3, 16, 16))
