"""What CLVAE can be besides the paper: rivals in its training, and what may make it better."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch.profiler import ProfilerActivity, profile

from semsynth.losses.losses import gaussian_kl, kl_divergence
from semsynth.methods import CLVAE
from semsynth.methods.clvae import some_from_prior
from semsynth.weights import load_segmenter
from tests.helpers.checks import left_alone

from .conftest import SIZE, Batch, seeded, tiny_clvae

Train = Callable[..., Trainer]
OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},
    "groupdnet": {"architecture": "groupdnet"},
    "inade": {"architecture": "inade"},
    "inade with instances": {"architecture": "inade", "instances_per_class": 2},
    "segmentation": {"discriminator": "segmentation"},
    "pretrained": {"discriminator": "pretrained", "backbone": "toy_portrait"},
    "diversity": {"discriminator": "segmentation", "diversity_weight": 1.0},
    "instances": {"instances_per_class": 3},
    "code_last_blocks": {"code_last_blocks": True},
    "coupled_prior": {"coupled_prior": True},
    "checkpointing": {"checkpointing": True},
}
AGAINST = OPTIONS["groupdnet"] | OPTIONS["segmentation"]
OPTIONS["groupdnet against segmentation"] = AGAINST | {"label_mix_weight": 0.0}
ABLATIONS: dict[str, dict[str, Any]] = {
    "one code for all classes": {"class_wise": False},
    "one code for all levels": {"layer_wise": False},
    "one code": {"class_wise": False, "layer_wise": False},
}
# what the first two steps cannot move: it has no effect while other weights are zero
SLOW_TO_START = {"coupled_prior": {"generator.code_prior.gate", "generator.code_prior.read"}}


def with_instances(batch: Batch) -> Batch:
    instance = torch.zeros_like(batch["mask"])
    instance[:, ::2] = 1
    return seeded({**batch, "instance": instance})


class WithInstances(CLVAE):
    """Adds instance maps to the batches of the tests."""

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return with_instances(batch)


def tiny(**changes: Any) -> CLVAE:
    method = tiny_clvae(**changes)
    method.__class__ = WithInstances
    return method


@pytest.mark.parametrize("name", OPTIONS | ABLATIONS)
def test_two_steps_change_every_parameter(name: str, train: Train) -> None:
    same = left_alone(tiny(**(OPTIONS | ABLATIONS)[name]), train)
    # the two halves of the hinge loss push this bias equally until a logit leaves the margin
    same -= {f"discriminator.scales.{i}.last.bias" for i in range(2)}
    same = {name for name in same if not name.startswith("discriminator.backbone.")}
    slow = SLOW_TO_START.get(name, set())
    assert not [k for k in same if not any(k.startswith(s) for s in slow)]


@pytest.mark.parametrize("name", OPTIONS)
def test_option_predicts_edits_and_keeps_its_images_in_a_checkpoint(
    name: str, train: Train, batch: Batch, tmp_path: Path
) -> None:
    method = tiny(**OPTIONS[name])
    trainer = train(method)
    method.eval()
    batch = with_instances(batch)
    image = method.predict_step(batch, 0)
    assert image.shape == (2, 3, SIZE, SIZE)
    assert image.isfinite().all()
    assert method.styled(batch, classes=[1]).shape == image.shape
    varied = method.supply({**batch, "num_samples": 2}, {"varied"})["varied"]
    assert varied.shape == (2, 2, 3, SIZE, SIZE)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = CLVAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True).eval()
    assert torch.equal(loaded.predict_step(batch, 0), image)


def test_coupled_prior_is_part_of_the_divergence(batch: Batch) -> None:
    method = tiny_clvae(coupled_prior=True)
    method.generator.code_prior.write.data.normal_(std=0.1)
    mask = batch["mask"].clamp_max(2)
    _, posterior = method.reconstruct({**batch, "mask": mask})
    assert posterior.prior is not None
    local = gaussian_kl(posterior.mu, posterior.logvar, posterior.prior)
    assert (local[posterior.present] > 0).all()
    torch.testing.assert_close(local[~posterior.present], torch.zeros(10))  # drawn from the prior
    expected = kl_divergence(posterior.mu_global, posterior.logvar_global)
    expected = expected + local.sum(2).div(posterior.present.sum(2)).sum(1)
    torch.testing.assert_close(method.kl(posterior, batch), expected)


def test_gaussian_divergence_equals_that_of_torch() -> None:
    mu, logvar, prior_mu, prior_logvar = torch.randn(4, 3, 5)
    a = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    b = torch.distributions.Normal(prior_mu, (0.5 * prior_logvar).exp())
    expected = torch.distributions.kl_divergence(a, b).sum(-1)
    torch.testing.assert_close(gaussian_kl(mu, logvar, (prior_mu, prior_logvar)), expected)


def test_coupled_prior_gives_other_codes_to_other_global_codes() -> None:
    method = tiny_clvae(coupled_prior=True)
    method.generator.code_prior.write.data.normal_()
    seed, z = torch.tensor([1]), torch.randn(2, 1, 8)
    a, b = (method.sample(seed, z_global).z_local for z_global in z)
    assert not torch.allclose(a, b)


def test_instances_of_a_class_get_codes_of_their_own(batch: Batch) -> None:
    method = tiny(instances_per_class=2)
    assert method.code_shape == (5, 8, 4)
    assert method.where([1])[0, 0, :, 0].tolist() == [False, False, True, True] + [False] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instances_per_class": 2, "class_wise": False}, "needs class_wise"),
        ({"instances_per_class": 2, "architecture": "groupdnet"}, "architecture clvae or inade"),
        ({"coupled_prior": True, "architecture": "inade"}, "options of architecture clvae"),
        ({"diversity_weight": 1.0}, "segmentation or pretrained"),
    ],
)
def test_options_that_exclude_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_clvae(**changes)


def test_checkpointing_trains_as_without(train: Train) -> None:
    methods = [tiny_clvae(checkpointing=c) for c in (False, True)]
    for method in methods:
        torch.manual_seed(1)
        train(method)
    states = [dict(method.state_dict()) for method in methods]
    torch.testing.assert_close(*states, atol=1e-5, rtol=1e-3)


def test_backbone_has_the_weights_of_its_name_and_stays_out_of_training_and_checkpoint(
    train: Train, tmp_path: Path, toy_segmenter: None
) -> None:
    method = tiny(discriminator="pretrained", backbone="toy_street")
    trainer = train(method)
    backbone = method.discriminator.get_submodule("backbone")
    expected = load_segmenter("toy_street").state_dict()
    assert all(value.equal(expected[key]) for key, value in backbone.state_dict().items())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert not [key for key in saved["state_dict"] if "backbone" in key]
    trained = {p for group in trainer.optimizers[1].param_groups for p in group["params"]}
    assert trained == {p for p in method.discriminator.parameters() if p.requires_grad}
    resumed = tiny(discriminator="pretrained", backbone="toy_street")
    train(resumed, str(tmp_path / "a.ckpt"), max_steps=3)
    backbone = resumed.discriminator.get_submodule("backbone")
    assert all(value.equal(expected[key]) for key, value in backbone.state_dict().items())


def test_pairs_are_different_samples_under_the_first_masks(batch: Batch) -> None:
    method = tiny_clvae(discriminator="segmentation", diversity_weight=1.0).eval()
    four = {k: torch.cat([v, v.flip(0)]) for k, v in batch.items()}
    four["mask"] = torch.arange(4).view(4, 1, 1).expand(4, SIZE, SIZE)  # a class for each
    torch.manual_seed(1)
    pairs = method.sample_pairs(four)
    torch.manual_seed(1)
    codes = method.sample(torch.randint(1 << 62, (4,)))
    masks = torch.tensor([0, 1, 0, 1]).view(4, 1, 1).expand(4, SIZE, SIZE)
    images = method.decode({"mask": masks}, codes.z_global, codes.z_local)
    assert pairs.shape == (2, 2, 3, SIZE, SIZE)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        torch.testing.assert_close(pairs[i, j], images[2 * j + i])


def test_half_of_what_is_judged_are_samples_in_the_order_of_the_masks() -> None:
    fake, pairs = torch.randn(4, 3, 8, 8), torch.randn(2, 2, 3, 8, 8)
    judged = some_from_prior(fake, pairs)
    assert judged.equal(torch.stack([pairs[0, 0], pairs[1, 0], fake[2], fake[3]]))
    assert some_from_prior(fake, None) is fake


@pytest.mark.parametrize("fresh", [True, False])
def test_discriminators_see_samples_with_the_diversity_loss(
    fresh: bool, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = tiny_clvae(discriminator="segmentation", diversity_weight=1.0, fresh_fake_for_d=fresh)
    samples = torch.full((1, 2, 3, SIZE, SIZE), 0.5)
    monkeypatch.setattr(method, "sample_pairs", lambda batch: samples)
    seen: list[torch.Tensor] = []
    original = method.discriminator_loss

    def kept(batch: Batch, layout: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        seen.append(fake)
        return original(batch, layout, fake)

    monkeypatch.setattr(method, "discriminator_loss", kept)
    trainer = train(method, max_steps=1)
    assert (seen[0][0] == 0.5).all()
    assert not (seen[0][1] == 0.5).any()
    assert trainer.callback_metrics["train/diversity"] == pytest.approx(0.2)  # all of the margin


READINGS = {f"aten::{op}" for op in ("_local_scalar_dense", "nonzero", "unique", "_unique2")}


def callers(event: Any) -> list[str]:
    """Names of an event and of those around it."""
    return [] if event is None else [event.name, *callers(event.cpu_parent)]


@pytest.mark.parametrize(
    "name", ["clvae", "inade with instances", "segmentation", "diversity", "coupled_prior"]
)
def test_step_reads_no_number_back_from_the_device(
    name: str, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = tiny(**OPTIONS.get(name, {}))
    step = method.training_step
    events: list[Any] = []

    def profiled(batch: Batch, batch_idx: int) -> None:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            step(batch, batch_idx)
        events.extend(profiler.events() or [])

    monkeypatch.setattr(method, "training_step", profiled)
    train(method, max_steps=1)
    assert sum(event.name == "aten::convolution" for event in events) > 50
    chains = [callers(event) for event in events if event.name in READINGS]
    # on a CPU, and there alone, the fused Adam reads how many steps it has taken
    assert not [chain for chain in chains if "aten::_fused_adam_" not in chain]


@pytest.mark.gpu
def test_step_does_not_wait_for_the_gpu(batch: Batch) -> None:
    method = tiny_clvae().cuda()
    batch = {k: v.cuda() for k, v in batch.items()}
    layout = torch.zeros(2, 4, SIZE, SIZE, device="cuda")
    for attempt in range(2):
        torch.cuda.set_sync_debug_mode("error" if attempt else "default")
        try:
            fake, posterior = method.reconstruct(batch)
            losses = method.generator_losses(batch, layout, fake, posterior)
            torch.stack(list(losses.values())).sum().backward()
            method.discriminator_loss(batch, layout, fake.detach()).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
def test_compiled_training_has_the_losses_gradients_and_statistics_of_eager_training(
    train: Train,
) -> None:
    results = []
    for compiled in (True, False):
        # Without learning: Adam makes steps of equal length of gradients that differ by rounding.
        method = tiny_clvae(lr_g=0.0, lr_d=0.0)
        for network in (method.encoder, method.generator, method.discriminator):
            if compiled:
                network.compile(backend="aot_eager")
        torch.manual_seed(1)
        losses = dict(train(method).callback_metrics)
        gradients = {k: p.grad for k, p in method.named_parameters()}
        results.append([losses, gradients, dict(method.named_buffers())])
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-3)
