import json
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import WeightsError, priors

WIDTH = {"channel_base": 128, "channel_max": 8}
ARGUMENTS = {"image_size": 16, "z_dim": 6, "w_dim": 5, "mapping_layers": 2, **WIDTH}
CARD: dict[str, Any] = {"what": "test", "generator": ARGUMENTS}


@pytest.fixture
def generator() -> StyleGAN2Generator:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(**ARGUMENTS)
    generator.estimate_mean_latent(10)
    return generator


@pytest.fixture
def file(generator: StyleGAN2Generator, tmp_path: Path) -> Path:
    """The generator with its card, the only files in their directory."""
    priors.save_generator(generator, tmp_path / "g.safetensors", CARD)
    return tmp_path / "g.safetensors"


def test_saving_and_loading_loses_nothing(generator: StyleGAN2Generator, file: Path) -> None:
    loaded, state = priors.load_generator(file), generator.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(v, state[k]) for k, v in loaded.state_dict().items())
    z = torch.randn(2, 6)
    with torch.no_grad():
        assert torch.equal(loaded(z, 0.7), generator(z, 0.7))


def test_weights_and_card_may_be_read_by_the_same_people(file: Path) -> None:
    assert len({path.stat().st_mode for path in file.parent.iterdir()}) == 1


def test_half_storage_takes_half_the_space_and_rounds_the_numbers(
    generator: StyleGAN2Generator, file: Path
) -> None:
    full, state = file.stat().st_size, generator.state_dict()
    priors.save_generator(generator, file, CARD, half=True)
    numbers = sum(v.numel() for v in state.values())
    assert full - file.stat().st_size == pytest.approx(2 * numbers, abs=1000)
    loaded = priors.load_generator(file).state_dict()
    assert all(torch.equal(v, state[k].half().float()) for k, v in loaded.items())


def test_weight_too_large_for_half_is_refused_before_a_file_is_written(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    generator.mean_latent[0] = 1e5
    with pytest.raises(WeightsError, match=r"generator\.mean_latent cannot be stored"):
        priors.save_generator(generator, tmp_path / "g.safetensors", CARD, half=True)
    assert not list(tmp_path.iterdir())


def test_discriminator_is_kept_beside_the_generator(
    generator: StyleGAN2Generator, file: Path
) -> None:
    assert priors.load_discriminator(file) is None
    D = StyleGAN2Discriminator(16, **WIDTH, group_size=2)
    card = CARD | {"discriminator": {"image_size": 16, **WIDTH, "group_size": 2}}
    priors.save_generator(generator, file, card, D)
    loaded = priors.load_discriminator(file)
    assert loaded is not None
    assert all(p.requires_grad for p in loaded.parameters())
    image = torch.randn(4, 3, 16, 16)
    assert torch.equal(loaded(image), D(image))


def test_weights_that_are_not_those_of_the_card_are_refused(
    generator: StyleGAN2Generator, file: Path
) -> None:
    card = file.with_suffix(".json").read_text()
    generator.mean_latent[0] += 1
    priors.save_generator(generator, file, CARD)
    file.with_suffix(".json").write_text(card)
    with pytest.raises(WeightsError, match=r"g\.safetensors are not those that its card"):
        priors.load_generator(file)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"network": {"num_classes": 9}}, "does not describe a StyleGAN2 prior"),
        ({"generator": ARGUMENTS | {"w_dim": 7}}, "cannot be read as its card describes it"),
    ],
)
def test_card_of_something_else_is_refused(card: dict[str, Any], reason: str, file: Path) -> None:
    file.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=reason):
        priors.load_generator(file)


def test_card_that_describes_other_shapes_is_not_written(
    generator: StyleGAN2Generator, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"of shape .*card\['generator'\] must"):
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


@pytest.mark.parametrize("half", [True, False])
def test_fingerprint_in_the_card_is_that_of_the_loaded_generator(
    half: bool, generator: StyleGAN2Generator, file: Path
) -> None:
    priors.save_generator(generator, file, CARD, half=half)
    card = json.loads(file.with_suffix(".json").read_text())
    assert priors.fingerprint(priors.load_generator(file)) == card["fingerprint"]
