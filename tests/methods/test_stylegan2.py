from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor

from semsynth.methods import StyleGAN2
from semsynth.methods.stylegan2 import lazy_adam
from semsynth.networks.noise import sample_seed
from semsynth.weights import WeightsError
from semsynth.weights.priors import save_generator
from tests.helpers.checks import left_alone

from .conftest import SIZE, Batch, tiny_stylegan2

Train = Callable[..., Trainer]


def test_a_step_changes_every_parameter(train: Train) -> None:
    assert left_alone(tiny_stylegan2(), train, max_steps=1) == set()


def test_a_relativistic_step_changes_every_parameter_but_the_offset_of_all_logits(
    train: Train,
) -> None:
    unchanged = left_alone(tiny_stylegan2(loss="relativistic"), train, max_steps=1)
    assert unchanged == {"discriminator.out.bias"}


def test_a_relativistic_step_compares_pairs_and_penalises_real_and_generated_images(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = tiny_stylegan2(loss="relativistic", r1_weight=3.0, r1_interval=2)
    losses: list[Tensor] = []
    monkeypatch.setattr(method, "toggle_optimizer", lambda optimizer: None)
    monkeypatch.setattr(method, "_update", lambda loss, optimizer: losses.append(loss))
    real, D = batch["image"], method.discriminator
    fake, optimizer = real.flip(3) / 2, cast(Any, None)
    method.step_discriminator(real, fake, optimizer, 0)
    penalties = method.step_penalties(real, fake, optimizer, 0)
    torch.testing.assert_close(losses[0], F.softplus(D(fake) - D(real)).mean())
    expected = {}
    for name, image in {"r1": real, "r2": fake}.items():
        image = image.clone().requires_grad_()
        D(image).sum().backward()
        assert image.grad is not None
        expected[name] = image.grad.square().sum() / len(image)
    torch.testing.assert_close(penalties, expected)
    torch.testing.assert_close(losses[1], 3 / 2 * 2 * sum(expected.values()))


@pytest.mark.parametrize(("frozen", "name"), [("lr_g", "generator"), ("lr_d", "discriminator")])
def test_each_network_has_its_own_optimizer(train: Train, frozen: str, name: str) -> None:
    method = tiny_stylegan2(**{frozen: 0.0})
    network = method.get_submodule(name)
    before = [p.detach().clone() for p in network.parameters()]
    train(method)
    after = list(network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_path_length_is_measured_only_where_it_has_a_weight(train: Train) -> None:
    with_it, without = tiny_stylegan2(), tiny_stylegan2(path_length_weight=0.0)
    train(with_it)
    train(without)
    assert with_it.path_length_mean > 0
    assert without.path_length_mean == 0


def test_the_mean_latent_follows_the_mapping_network(train: Train) -> None:
    method = tiny_stylegan2(lr_g=0.0)
    train(method, max_steps=8)
    tracked = method.generator.mean_latent.clone()
    method.generator.estimate_mean_latent()
    expected = method.generator.mean_latent * (1 - 0.995**8)
    assert torch.cosine_similarity(tracked, expected, dim=0) > 0.3
    assert 0.2 < tracked.norm() / expected.norm() < 5


def test_latents_depend_on_step_phase_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    method = tiny_stylegan2(style_mixing=0.0)
    first = method.draw_latents(4, step=3, phase=0)
    assert torch.equal(first, method.draw_latents(4, step=3, phase=0))
    others = [method.draw_latents(4, 3, 1), method.draw_latents(4, 4, 0)]
    monkeypatch.setattr(StyleGAN2, "global_rank", 1)
    others.append(method.draw_latents(4, 3, 0))
    drawn = torch.cat([first, *others])[:, 0]
    assert torch.cdist(drawn, drawn).fill_diagonal_(1).min() > 1e-3


def test_style_mixing_takes_two_latents_in_the_share_of_images_that_is_asked() -> None:
    method = tiny_stylegan2(style_mixing=0.5)
    w_plus = method.draw_latents(2000, 0, 0)
    mixed = (w_plus[:, 0] != w_plus[:, -1]).any(1).float().mean()
    assert 0.46 < mixed < 0.54


def test_lazy_regularisation_corrects_rate_and_betas_of_adam() -> None:
    layer = torch.nn.Linear(1, 1)
    (group,) = lazy_adam(layer, 0.002, (0.0, 0.99), 16).param_groups
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
    (plain,) = lazy_adam(layer, 0.002, (0.0, 0.99), 0).param_groups
    assert (plain["lr"], plain["betas"]) == (0.002, (0.0, 0.99))


def test_an_image_depends_on_its_seed_alone(batch: Batch) -> None:
    method = tiny_stylegan2().eval()
    seed = sample_seed(0, torch.arange(4))
    with torch.no_grad():
        together = method.predict_step({**batch, "seed": seed}, 0)
        alone = method.predict_step({**batch, "seed": seed[2:3]}, 0)
    assert together.shape == (4, 3, SIZE, SIZE)
    torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-5)
    assert (together[0] - together[1]).abs().mean() > 1e-3


def test_variations_end_where_they_should(batch: Batch) -> None:
    method = tiny_stylegan2().eval()
    method.generator.estimate_mean_latent(100)
    seeded = {**batch, "seed": sample_seed(0, batch["index"]), "num_samples": 3}
    with torch.no_grad():
        series = method.supply(seeded, {"variations"})["variations"]
        images = method.predict_step(seeded, 0)
    assert {k: tuple(v.shape) for k, v in series.items()} == dict.fromkeys(
        ("truncation", "interpolation", "style_mixing"), (2, 3, 3, SIZE, SIZE)
    )
    torch.testing.assert_close(series["truncation"][0, 0], series["truncation"][1, 0])
    torch.testing.assert_close(series["truncation"][:, -1], images, rtol=0, atol=1e-4)
    torch.testing.assert_close(series["interpolation"][:, 0], images, rtol=0, atol=1e-4)
    torch.testing.assert_close(series["interpolation"][0, -1], images[1], rtol=0, atol=1e-4)


def save_as_prior(method: StyleGAN2, path: Path) -> str:
    sizes = {"image_size": SIZE, "channel_base": 256, "channel_max": 8}
    mapping = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    card = {"generator": sizes | mapping, "discriminator": sizes | {"group_size": 2}}
    save_generator(method.generator, path, card, method.discriminator)
    return str(path)


def test_training_goes_on_from_a_prior(train: Train, tmp_path: Path) -> None:
    prior = tiny_stylegan2()
    path = save_as_prior(prior, tmp_path / "prior.safetensors")
    torch.manual_seed(1)
    method = tiny_stylegan2(init_from=path, lr_g=0.0, lr_d=0.0)
    for parameter in method.parameters():
        parameter.data.add_(1)
    train(method, max_steps=1)
    wanted = dict(prior.named_parameters())
    assert all(torch.equal(p, wanted[k]) for k, p in method.named_parameters())


def test_a_prior_of_another_architecture_is_refused(train: Train, tmp_path: Path) -> None:
    path = save_as_prior(tiny_stylegan2(), tmp_path / "prior.safetensors")
    with pytest.raises(WeightsError, match=r"has \S+ of shape .*channel_max as in its card"):
        train(tiny_stylegan2(channel_max=4, init_from=path))


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        StyleGAN2((64, 128))
