import json
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth import weights
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import priors

WIDTH = {"channel_base": 128, "channel_max": 8}
ARGUMENTS = {"image_size": 16, "z_dim": 6, "w_dim": 5, "mapping_layers": 2, **WIDTH}
CARD: dict[str, Any] = {"what": "test", "generator": ARGUMENTS}


@pytest.fixture
def generator() -> StyleGAN2Generator:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(**ARGUMENTS)
    generator.estimate_mean_latent(10)
    return generator


def test_saving_and_loading_loses_nothing(generator: StyleGAN2Generator, tmp_path: Path) -> None:
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD)
    loaded = priors.load_generator(tmp_path / "g.safetensors")
    state = generator.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())
    z = torch.randn(2, 6)
    with torch.no_grad():
        assert torch.equal(loaded(z, 0.7), generator(z, 0.7))


def test_loaded_generator_is_frozen_in_eval_mode_and_float32(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD, half=True)
    loaded = priors.load_generator(tmp_path / "g.safetensors")
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert {v.dtype for v in loaded.state_dict().values()} == {torch.float32}


def test_weights_and_card_may_be_read_by_the_same_people(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_half_storage_takes_half_the_space_and_rounds_the_numbers(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    for name, half in (("half", True), ("full", False)):
        priors.save_generator(generator, tmp_path / f"{name}.safetensors", CARD, half=half)
    sizes = {p.stem: p.stat().st_size for p in tmp_path.glob("*.safetensors")}
    numbers = sum(v.numel() for v in generator.state_dict().values())
    assert sizes["full"] - sizes["half"] == pytest.approx(2 * numbers, abs=1000)
    state = generator.state_dict()
    loaded = priors.load_generator(tmp_path / "half.safetensors").state_dict()
    assert all(torch.equal(v, state[k].half().float()) for k, v in loaded.items())


def test_weight_too_large_for_half_is_refused_before_a_file_is_written(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    generator.mean_latent[0] = 1e5
    with pytest.raises(weights.WeightsError, match=r"generator\.mean_latent cannot be stored"):
        priors.save_generator(generator, tmp_path / "g.safetensors", CARD, half=True)
    assert not list(tmp_path.iterdir())


def test_discriminator_is_kept_beside_the_generator(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    D = StyleGAN2Discriminator(16, **WIDTH, group_size=2)
    card = CARD | {"discriminator": {"image_size": 16, **WIDTH, "group_size": 2}}
    priors.save_generator(generator, tmp_path / "g.safetensors", card, D)
    loaded = priors.load_discriminator(tmp_path / "g.safetensors")
    assert loaded is not None
    assert all(p.requires_grad for p in loaded.parameters())
    image = torch.randn(4, 3, 16, 16)
    assert torch.equal(loaded(image), D(image))


def test_prior_without_a_discriminator_gives_none(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    card = CARD | {"discriminator": {"image_size": 16, **WIDTH}}
    priors.save_generator(generator, tmp_path / "g.safetensors", card)
    assert priors.load_discriminator(tmp_path / "g.safetensors") is None


def test_shipped_prior_is_found_by_name_and_unknown_names_list_it(
    generator: StyleGAN2Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "ASSETS", tmp_path)
    priors.save_generator(generator, tmp_path / "toy_moon_stylegan2.safetensors", CARD)
    assert priors.load_generator("toy_moon").image_size == 16
    with pytest.raises(weights.MissingWeightsError, match=r"'toy_sun'.*Shipped: toy_moon\."):
        priors.load_generator("toy_sun")


def test_weights_that_are_not_those_of_the_card_are_refused(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    priors.save_generator(generator, tmp_path / "a.safetensors", CARD)
    with torch.no_grad():
        generator.mapping.layers[0].weight[0, 0] += 1  # type: ignore[operator, index]
    priors.save_generator(generator, tmp_path / "b.safetensors", CARD)
    (tmp_path / "b.json").write_text((tmp_path / "a.json").read_text())
    with pytest.raises(weights.WeightsError, match=r"b\.safetensors are not those that its card"):
        priors.load_generator(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"network": {"num_classes": 9}}, "does not describe a StyleGAN2 prior"),
        ({"generator": ARGUMENTS | {"w_dim": 7}}, "cannot be read as its card describes it"),
    ],
)
def test_card_of_something_else_is_refused(
    card: dict[str, Any], reason: str, generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD)
    (tmp_path / "g.json").write_text(json.dumps(card))
    with pytest.raises(weights.WeightsError, match=reason):
        priors.load_generator(tmp_path / "g.safetensors")


def test_card_that_describes_other_shapes_is_not_written(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    with pytest.raises(weights.WeightsError, match=r"of shape .*card\['generator'\] must"):
        priors.save_generator(generator, tmp_path / "g.safetensors", {"what": "nothing else"})
    assert not list(tmp_path.iterdir())


def test_fingerprint_depends_on_the_numbers_and_not_on_their_memory(
    generator: StyleGAN2Generator,
) -> None:
    before = priors.fingerprint(generator)
    assert priors.fingerprint(generator.to(memory_format=torch.channels_last)) == before
    assert priors.fingerprint(generator.double()) == before
    generator.mean_latent[0] += 1
    assert priors.fingerprint(generator) != before


def test_fingerprint_in_the_card_is_that_of_the_loaded_generator(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    for half in (True, False):
        priors.save_generator(generator, tmp_path / "g.safetensors", CARD, half=half)
        card = json.loads((tmp_path / "g.json").read_text())
        loaded = priors.load_generator(tmp_path / "g.safetensors")
        assert priors.fingerprint(loaded) == card["fingerprint"]


def test_loading_leaves_the_random_numbers_of_the_run_alone(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    priors.load_generator(tmp_path / "g.safetensors")
    assert torch.equal(torch.rand(3), expected)
