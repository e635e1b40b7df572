from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from semsynth import weights
from semsynth.losses.losses import kl_divergence
from semsynth.methods import CLVAE
from semsynth.methods.base import require_unused_parameters
from semsynth.networks.vgg import VGGFeatures
from semsynth.weights import DOWNLOADS
from tests.helpers.checks import left_alone

from .conftest import NUM_CLASSES, SIZE, Batch, RandomPairs, seeded, tiny_clvae

ABLATIONS = [(a, b) for a in (True, False) for b in (True, False)]
Train = Callable[..., Trainer]


def test_defaults_are_the_model_of_the_paper() -> None:
    with torch.device("meta"):
        method = CLVAE(151)
    networks = (method.generator, method.encoder, method.discriminator)
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts == [111_965_396, 10_909_478, 5_836_930]


@pytest.mark.parametrize("rate", ["lr_d", "lr_g"])
def test_each_step_leaves_the_other_networks_alone(train: Train, rate: str) -> None:
    method = tiny_clvae(**{rate: 0.0})
    names = {k for k, _ in method.named_parameters()}
    judging = {k for k in names if k.startswith("discriminator")}
    assert left_alone(method, train) >= (judging if rate == "lr_d" else names - judging)


def test_one_batch_can_be_overfitted(train: Train, batch: Batch) -> None:
    method = tiny_clvae(feature_matching_weight=0.0, kl_weight=0.0)
    optimizer = torch.optim.Adam(method_parameters(method)[0], 2e-3)
    smooth = torch.nn.functional.avg_pool2d(batch["image"], 16).repeat_interleave(16, 2)
    target = smooth.repeat_interleave(16, 3)
    errors = []
    for _ in range(40):
        fake, _ = method.reconstruct({**batch, "image": target})
        error = (fake - target).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error))
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


def test_same_seed_gives_the_same_image_in_any_batch(batch: Batch) -> None:
    method = tiny_clvae().eval()
    both = method.predict_step(seeded(batch), 0)
    alone = method.predict_step({k: v[1:] for k, v in seeded(batch).items()}, 0)
    assert torch.allclose(both[1:], alone, atol=1e-6)
    other = method.predict_step(seeded(batch, draw=1), 0)
    assert not torch.allclose(both, other)


@pytest.mark.parametrize(("class_wise", "layer_wise"), ABLATIONS)
def test_ablations_show_their_controls(batch: Batch, class_wise: bool, layer_wise: bool) -> None:
    method = tiny_clvae(class_wise=class_wise, layer_wise=layer_wise).eval()
    assert method.predict_step(batch, 0).shape == (2, 3, SIZE, SIZE)
    asked = {**seeded(batch), "num_samples": 3}
    series = method.supply(asked, {"variations"})["variations"]
    expected = ["one_class"] * class_wise + ["finest_level", "coarsest_level"] * layer_wise
    assert list(series) == expected
    assert all(images.shape == (2, 3, 3, SIZE, SIZE) for images in series.values())


def test_redrawing_one_class_changes_its_pixels_most(batch: Batch) -> None:
    method = tiny_clvae(init="xavier").eval()
    for parameter in method.generator.parameters():  # let the codes matter before training
        parameter.data.mul_(3)
    half = batch["mask"].clone()
    half[:, :, 32:] = 1
    half[:, :, :32] = 0
    half[:, :4] = 2
    asked = {**seeded({**batch, "mask": half}), "num_samples": 4}
    images = method.supply(asked, {"variations"})["variations"]["one_class"]
    chosen = int(torch.bincount(half[0].flatten()).argmax())
    spread = images.std(dim=1).mean(dim=1)  # (B, H, W)
    assert spread[half == chosen].mean() > 2 * spread[half != chosen].mean()


def test_kl_weight_refers_to_a_batch_of_four(batch: Batch) -> None:
    method = tiny_clvae(kl_weight=0.5)
    fake, posterior = method.reconstruct(batch)
    layout = torch.zeros(2, NUM_CLASSES, SIZE, SIZE)
    losses = method.generator_losses(batch, layout, fake, posterior)
    expected = 0.5 * 4 * method.kl(posterior, batch).mean()
    assert torch.allclose(losses["kl"], expected)


def test_kl_norm_divides_by_classes_of_level_or_of_mask(batch: Batch) -> None:
    mask = batch["mask"].clone()
    mask[:, 1, 1] = 3  # odd position: on no level
    mask[mask == 2] = 1
    mask[:, 32:, 32:] = 1
    mask[:, 33, 33] = 3
    method = tiny_clvae()
    posterior = method.encoder(batch["image"], mask)
    masked = {**batch, "mask": mask}
    level, whole = (m.kl(posterior, masked) for m in (method, tiny_clvae(kl_norm="mask")))
    local = kl_divergence(posterior.mu, posterior.logvar) * posterior.present
    of_global = kl_divergence(posterior.mu_global, posterior.logvar_global)
    present = posterior.present.sum(2)
    assert torch.allclose(level, of_global + (local.sum(2) / present).sum(1))
    assert torch.allclose(whole, of_global + local.sum((1, 2)) / 3)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (9, 1), (10, 1), (11, 0.8), (14, 0.2), (15, 0), (20, 0)]
)
def test_learning_rate_is_constant_and_then_falls_to_zero(epoch: int, factor: float) -> None:
    method = tiny_clvae(constant_epochs=10, decay_epochs=5)
    assert method.lr_factor(epoch) == pytest.approx(factor)


def test_perceptual_network_stays_out_of_the_checkpoint(
    train: Train, tmp_path: Path, toy_segmenter: None
) -> None:
    method = tiny_clvae(perceptual="toy_street", perceptual_weight=1.0)
    train(method).save_checkpoint(tmp_path / "a.ckpt")
    assert method.perceptual_loss is not None
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert not [key for key in saved if key.startswith("perceptual_loss")]
    train(tiny_clvae(perceptual="toy_street", perceptual_weight=1.0), str(tmp_path / "a.ckpt"))


@pytest.mark.parametrize("vgg", ["vgg16", "vgg19"])
def test_missing_vgg_weights_stop_before_training(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vgg: Literal["vgg16", "vgg19"]
) -> None:
    for name in ("SEMSYNTH_WEIGHTS", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    method = tiny_clvae(perceptual=vgg, perceptual_weight=10.0)
    with pytest.raises(weights.MissingWeightsError) as error:
        train(method)
    remedies = (f"weights fetch {vgg}", "--model.perceptual_weight 0")
    for part in (DOWNLOADS[vgg].file, str(tmp_path), *remedies):
        assert part in str(error.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg_of_either_file_is_that_of_the_perceptual_loss(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    layers = VGGFeatures("vgg16").layers
    state = {f"features.{k}": 0.01 * torch.randn_like(v) for k, v in layers.state_dict().items()}
    path = tmp_path / f"vgg16{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    monkeypatch.setattr(weights, "find", lambda *_: path)
    method = tiny_clvae(perceptual="vgg16", perceptual_weight=10.0)
    train(method)
    assert method.perceptual_loss is not None
    found = method.perceptual_loss.network.layers.state_dict()
    assert all(torch.equal(found[k.removeprefix("features.")], v) for k, v in state.items())


def test_prediction_needs_no_perceptual_network(batch: Batch) -> None:
    method = tiny_clvae(perceptual="vgg19", perceptual_weight=10.0).eval()
    assert method.predict_step(batch, 0).shape == (2, 3, SIZE, SIZE)


def test_plain_ddp_is_refused_with_the_strategy_that_works() -> None:
    with pytest.raises(ValueError, match="ddp_find_unused_parameters_true"):
        require_unused_parameters(DDPStrategy())
    require_unused_parameters(DDPStrategy(find_unused_parameters=True))
    require_unused_parameters(SingleDeviceStrategy())


@pytest.mark.parametrize("fresh", [True, False])
def test_discriminator_sees_fresh_or_the_same_fakes(
    train: Train, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    method = tiny_clvae(fresh_fake_for_d=fresh)
    calls: list[Any] = []
    original = method.reconstruct

    def counted(batch: Batch) -> Any:
        calls.append(batch)
        return original(batch)

    monkeypatch.setattr(method, "reconstruct", counted)
    train(method, max_steps=1)
    assert len(calls) == (2 if fresh else 1)


def test_varied_images_differ_in_one_class_that_is_there(batch: Batch) -> None:
    method = tiny_clvae().eval()
    mask = batch["mask"].clone()
    mask[0] = 2
    asked = {**seeded({**batch, "mask": mask}), "num_samples": 3}
    varied = method.supply(asked, {"varied"})
    assert varied["varied"].shape == (2, 3, 3, SIZE, SIZE)
    assert varied["varied_class"][0] == 2
    assert varied.keys() == {"varied", "varied_class"}
    assert not torch.equal(varied["varied"][:, 0], varied["varied"][:, 1])


def test_a_single_level_changes_less_than_all(batch: Batch) -> None:
    method = tiny_clvae().eval()
    names = ["varied", "varied_level0", "varied_level4"]
    varied = method.supply({**seeded(batch), "num_samples": 4}, names)
    spread = [varied[name].std(1).mean() for name in names]
    assert min(spread[1:]) > 0
    assert max(spread[1:]) < spread[0]


@pytest.mark.parametrize("layer_wise", [True, False])
def test_without_class_codes_all_of_the_code_is_redrawn(batch: Batch, layer_wise: bool) -> None:
    method = tiny_clvae(class_wise=False, layer_wise=layer_wise).eval()
    varied = method.supply({**seeded(batch), "num_samples": 3}, {"varied"})
    inside = (batch["mask"] == varied["varied_class"][:, None, None])[:, None]
    change = varied["varied"].std(1)
    assert change[inside.expand_as(change)].mean() > 0
    assert change[~inside.expand_as(change)].mean() > 0


@pytest.mark.parametrize(
    ("changes", "level"), [({"class_wise": False, "layer_wise": False}, 0), ({}, 5)]
)
def test_levels_without_codes_are_not_supplied(
    batch: Batch, changes: dict[str, bool], level: int
) -> None:
    names = {"varied", f"varied_level{level}"}
    varied = tiny_clvae(**changes).supply({**seeded(batch), "num_samples": 2}, names)
    assert varied.keys() == {"varied", "varied_class"}


@pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:Found .* in eval")
def test_two_accumulated_batches_step_like_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Without what differs by design: noise, and statistics and norms that each pass advances.
    monkeypatch.setattr("semsynth.methods.clvae.draw", lambda mu, logvar: mu)
    trained = []
    for accumulated in (1, 2):
        method = tiny_clvae(accumulate_grad_batches=accumulated).eval()
        loader = DataLoader(RandomPairs(), batch_size=8 // accumulated)
        options: dict[str, Any] = {"max_steps": 1, "logger": False, "enable_checkpointing": False}
        optimizers = [torch.optim.SGD(ps, lr=0.1) for ps in method_parameters(method)]
        monkeypatch.setattr(method, "configure_optimizers", lambda found=optimizers: found)
        monkeypatch.setattr(method, "on_train_epoch_end", lambda: None)
        trainer = Trainer(accelerator="cpu", devices=1, default_root_dir=tmp_path, **options)
        trainer.fit(method, loader)
        assert trainer.global_step == 1
        trained.append(dict(method.named_parameters()))
    start = dict(tiny_clvae().named_parameters())
    assert any(not torch.equal(start[k], trained[0][k]) for k in start)
    torch.testing.assert_close(*trained, atol=1e-6, rtol=1e-5)


def method_parameters(method: CLVAE) -> list[list[torch.nn.Parameter]]:
    """Parameters of the two optimizers."""
    generative = [*method.generator.parameters(), *method.encoder.parameters()]
    return [generative, list(method.discriminator.parameters())]
