from pathlib import Path

import pytest
import torch
from torch import Tensor

from semsynth.inversion import tuning
from semsynth.inversion.tuning import (
    apply_difference,
    apply_factors,
    initial_factors,
    synthesise,
    tune,
    write_difference,
)
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import WeightsError
from tests.helpers.small_prior import small_generator


@pytest.fixture
def generator() -> StyleGAN2Generator:
    return small_generator()


@pytest.fixture
def w_plus(generator: StyleGAN2Generator) -> Tensor:
    return generator.repeat(generator.mapping(torch.randn(1, 8)))


@pytest.fixture
def photo(generator: StyleGAN2Generator) -> Tensor:
    return generator(torch.randn(1, 8)).clamp(-1, 1)


def test_tuning_draws_the_photo_at_its_latents_and_leaves_the_generator(
    generator: StyleGAN2Generator, w_plus: Tensor, photo: Tensor
) -> None:
    before = generator.synthesis(w_plus)
    factors = tune(generator, w_plus, photo, steps=80)
    assert torch.equal(generator.synthesis(w_plus), before)
    apply_factors(generator, factors)
    after = generator.synthesis(w_plus)
    assert (after - photo).square().mean() < 0.4 * (before - photo).square().mean()


def test_images_elsewhere_stay_more_where_they_weigh_more(
    generator: StyleGAN2Generator,
    w_plus: Tensor,
    photo: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = generator.repeat(generator.mapping(torch.randn(16, 8)))
    near = torch.lerp(w_plus, other, 0.3)
    changes = []
    for weight in (0.0, 10.0):
        monkeypatch.setattr(tuning, "KEEP_WEIGHT", weight)
        drawn = synthesise(generator, tune(generator, w_plus, photo, steps=30), near)
        changes.append((drawn - generator.synthesis(near)).square().mean())
    assert changes[1] < 0.5 * changes[0]


def test_factors_change_weights_by_their_product(generator: StyleGAN2Generator) -> None:
    factors = {k: torch.randn_like(v) for k, v in initial_factors(generator, 0).items()}
    name = "blocks.1.convs.0.conv.weight"
    before = generator.synthesis.state_dict()[name].clone()
    others = {k: v.clone() for k, v in generator.state_dict().items() if "conv.weight" not in k}
    apply_factors(generator, factors)
    change = (generator.synthesis.state_dict()[name] - before).flatten(1)
    torch.testing.assert_close(change, factors[f"{name}.up"] @ factors[f"{name}.down"])
    assert all(torch.equal(generator.state_dict()[k], v) for k, v in others.items())


def test_a_file_gives_the_images_that_were_tuned(
    generator: StyleGAN2Generator, w_plus: Tensor, photo: Tensor, tmp_path: Path
) -> None:
    factors = tune(generator, w_plus, photo, steps=5)
    expected = synthesise(generator, factors, w_plus)
    write_difference(tmp_path / "a.safetensors", factors, generator)
    apply_difference(generator, tmp_path / "a.safetensors")
    torch.testing.assert_close(generator.synthesis(w_plus), expected)


def test_differences_of_others_and_damaged_ones_are_refused(
    generator: StyleGAN2Generator,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.safetensors"
    factors = initial_factors(generator, 0)
    write_difference(path, {k: v for k, v in factors.items() if "up" in k}, generator)
    with pytest.raises(WeightsError, match="does not fit the generator's layers"):
        apply_difference(generator, path)
    write_difference(path, factors, generator)
    apply_factors(generator, {k: torch.ones_like(v) for k, v in factors.items()})
    with pytest.raises(WeightsError, match="belongs to the prior with fingerprint"):
        apply_difference(generator, path)
    path.write_bytes(b"cut off")
    with pytest.raises(WeightsError, match="cannot be read"):
        apply_difference(generator, path)
