from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from semsynth.losses.losses import gradient_penalty
from semsynth.methods import StyleGAN2, stylegan2
from semsynth.networks.stylegan2.ada import AdaptiveAugment
from tests.helpers.checks import quiet_trainer
from tests.helpers.killed import two_processes

from .conftest import Batch, RandomPairs, tiny_stylegan2

Train = Callable[..., Trainer]
BATCH = 2  # of the loader


def build(**changes: Any) -> StyleGAN2:
    return tiny_stylegan2(path_length_weight=0.0, **changes)


def test_without_augmentation_the_discriminator_sees_the_images(batch: Batch) -> None:
    method = build()
    logits = method.judge(batch["image"], 0, 0)
    assert torch.equal(logits, method.discriminator(batch["image"]))
    assert not [key for key in method.state_dict() if key.startswith("augmentation")]


def test_all_that_is_judged_is_augmented_anew(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[tuple[int, ...]] = []
    original = AdaptiveAugment.forward

    def recorded(self: AdaptiveAugment, images: Tensor, seed: Tensor) -> Tensor:
        seeds.append(tuple(seed.tolist()))
        return original(self, images, seed)

    monkeypatch.setattr(AdaptiveAugment, "forward", recorded)
    train(build(augment="fixed", augment_p=0.5), max_steps=2)
    assert len(seeds) == 4 + 3  # real, generated, R1 (every other step), and the generator's
    assert len({seed for pair in seeds for seed in pair}) == 7 * BATCH


def test_gradient_reaches_the_generator_through_the_augmentation(batch: Batch) -> None:
    method = build(augment="fixed", augment_p=1.0)
    image = batch["image"].requires_grad_()
    (gradient,) = torch.autograd.grad(method.judge(image, 0, 3).sum(), image)
    assert (gradient.flatten(1).abs().sum(1) > 0).all()


def test_r1_is_taken_at_the_images_before_they_are_augmented(
    train: Train, monkeypatch: pytest.MonkeyPatch, batch: Batch
) -> None:
    method = build(augment="fixed", augment_p=1.0)
    calls: list[bool] = []

    def checked(discriminate: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
        augmented = method.augmentation(real, method.draw_seeds(BATCH, -1 - 2))
        calls.append(torch.equal(real, batch["image"]))
        calls.append(torch.equal(discriminate(real), method.discriminator(augmented)))
        calls.append(not torch.allclose(real, augmented))
        return gradient_penalty(discriminate, real)

    monkeypatch.setattr(stylegan2, "gradient_penalty", checked)
    train(method, max_steps=1)
    assert calls == [True] * 3


@pytest.mark.parametrize(
    ("augment", "logit", "expected"),
    [("ada", 100.0, 0.5 + 0.008), ("ada", -100.0, 0.5 - 0.008), ("fixed", 100.0, 0.5)],
)
def test_probability_follows_the_real_logits_unless_it_is_fixed(
    train: Train, augment: str, logit: float, expected: float
) -> None:
    method = build(augment=augment, augment_p=0.5, ada_kimg=1.0, lr_d=0.0)
    method.discriminator.out.bias.data.fill_(logit)
    trainer = train(method, max_steps=4)
    assert float(method.augmentation.p) == pytest.approx(expected)  # 4 steps of 2 of 1000 images
    assert float(trainer.callback_metrics["train/augment_p"]) == pytest.approx(expected)


def test_probability_goes_on_from_the_checkpoint(train: Train, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"augment": "ada", "ada_kimg": 1.0, "lr_d": 0.0}
    first = build(**changes)
    first.discriminator.out.bias.data.fill_(100.0)
    train(first, max_steps=6).save_checkpoint(tmp_path / "half.ckpt")
    second = build(**changes)
    train(second, str(tmp_path / "half.ckpt"), max_steps=8)
    assert float(first.augmentation.p) == pytest.approx(0.008)
    assert float(second.augmentation.p) == pytest.approx(0.016)  # two steps counted before


class SureOnFirstProcess(StyleGAN2):
    """All images look real to the first process, and generated to the second."""

    def judge(self, image: Tensor, step: int, phase: int) -> Tensor:
        return 0 * super().judge(image, step, phase) + (1 if self.global_rank == 0 else -1)


@pytest.mark.slow
def test_sign_is_averaged_over_processes(tmp_path: Path) -> None:
    method = build(augment="ada", augment_p=0.5, ada_kimg=1.0, ada_target=0.1)
    method.__class__ = SureOnFirstProcess
    options = two_processes(find_unused_parameters=True)
    trainer = quiet_trainer(tmp_path, max_steps=4, **options)
    trainer.fit(method, DataLoader(RandomPairs(16), batch_size=BATCH))
    # The mean is 0, below the target, over 4 steps of 2 images on 2 processes.
    assert float(method.augmentation.p) == pytest.approx(0.5 - 0.016)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"augment_p": 0.5}, "augment: none is incompatible with augment_p: 0.5"),
        ({"augment": "fixed"}, "augment: fixed is incompatible with augment_p: 0.0"),
        ({"augment": "ada", "augment_p": 2.0}, r"must be in \[0, 1\]"),
        ({"augment": "ada", "augment_pipe": "c"}, "one of b, bg, bgc"),
    ],
)
def test_augmentation_without_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(("before", "after"), [("none", "ada"), ("ada", "none")])
def test_checkpoint_is_loaded_with_and_without_augmentation(before: Any, after: Any) -> None:
    chosen: dict[str, dict[str, Any]] = {"none": {}, "ada": {"augment": "ada", "augment_p": 0.25}}
    state = {k: v + 1 for k, v in build(**chosen[before]).state_dict().items()}
    method = build(**chosen[after])
    checkpoint = {"state_dict": dict(state)}
    method.on_load_checkpoint(checkpoint)
    method.load_state_dict(checkpoint["state_dict"])  # strictly
    for name, value in method.state_dict().items():
        if not name.startswith("augmentation."):
            assert torch.equal(value, state[name])
    if after == "ada":
        assert method.augmentation.p == 0.25  # the model's own
