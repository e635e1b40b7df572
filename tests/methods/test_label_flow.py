from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from semsynth.callbacks import GeneratorEMA
from semsynth.methods import LabelFlow
from semsynth.networks.noise import seeded_normal
from tests.helpers.checks import left_alone

from .conftest import NUM_CLASSES, SIZE, Batch, seeded

Train = Callable[..., Trainer]


def tiny(**changes: Any) -> LabelFlow:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"channels": 8, "depth": 3, "spade_channels": 4, "num_steps": 3}
    return LabelFlow(NUM_CLASSES, (SIZE, SIZE), **(arguments | changes)).eval()


def with_velocity(method: LabelFlow, velocity: Callable[..., Tensor]) -> LabelFlow:
    """A method whose network knows a velocity of image, time and label map."""
    network: Any = method.network
    network.modulations, network.velocity = lambda mask: mask, velocity
    return method


def test_a_step_changes_every_parameter(train: Train) -> None:
    assert not left_alone(tiny(), train)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_straight_flow_ends_at_its_image_after_any_steps(
    solver: Literal["euler", "heun"], batch: Batch
) -> None:
    target = batch["image"] / 2
    start = seeded_normal(torch.arange(2), 3, SIZE, SIZE)
    for num_steps in (1, 4):
        method = tiny(num_steps=num_steps, solver=solver, guidance=1.0)
        flow = with_velocity(method, lambda x, time, mask: target - start).flow
        torch.testing.assert_close(flow(start, batch["mask"]), target, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("solver", "factor"), [("euler", 1.5**2), ("heun", 1.625**2)])
def test_solvers_by_hand(solver: Literal["euler", "heun"], factor: float, batch: Batch) -> None:
    # x' = x in two steps of 1/2: 1 + 1/2 a step, or 1 + 1/2 + 1/8
    method = tiny(num_steps=2, solver=solver, guidance=1.0)
    start = torch.full((2, 3, SIZE, SIZE), 0.1)
    found = with_velocity(method, lambda x, time, mask: x).flow(start, batch["mask"])
    torch.testing.assert_close(found, factor * start)


def test_times_of_heun_are_the_ends_of_each_step(batch: Batch) -> None:
    times: list[float] = []

    def velocity(x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        times.append(float(time[0]))
        return x

    method = with_velocity(tiny(num_steps=2, solver="heun"), velocity)
    method.flow(torch.zeros(2, 3, SIZE, SIZE), batch["mask"])
    assert times == [0, 0.5, 0.5, 1]


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_guidance_goes_from_the_velocity_without_labels_past_that_with_them(
    guidance: float, batch: Batch
) -> None:
    method = tiny(num_steps=1, guidance=guidance)
    start = 0.1 * torch.randn(2, 3, SIZE, SIZE)
    time, mask = torch.zeros(2), batch["mask"]
    with torch.no_grad():
        under = method.network(start, time, mask)
        without = method.network(start, time, torch.full_like(mask, 255))
    expected = (start + without + guidance * (under - without)).clamp(-1, 1)
    torch.testing.assert_close(method.flow(start, mask), expected, atol=1e-5, rtol=1e-4)


def test_loss_is_the_error_of_the_velocity_on_the_line_to_the_image(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = tiny(label_dropout=0.5)
    method.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    seen: list[Tensor] = []

    def network(x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        seen.extend((x, time, mask))
        return torch.zeros_like(x)

    monkeypatch.setattr(method.network, "forward", network)
    torch.manual_seed(1)
    noise, times, coins = torch.randn(2, 3, SIZE, SIZE), torch.rand(2), torch.rand(2)
    torch.manual_seed(1)
    loss = method.training_step(batch, 0)
    torch.testing.assert_close(loss, (batch["image"] - noise).square().mean())
    x, time, mask = seen
    assert time.equal(times)
    for i in range(2):
        expected = times[i] * batch["image"][i] + (1 - times[i]) * noise[i]
        torch.testing.assert_close(x[i], expected)
        assert mask[i].equal(batch["mask"][i] if coins[i] >= 0.5 else torch.full((SIZE, SIZE), 255))


def test_colours_of_classes_are_learnt_and_follow_the_mask() -> None:
    method = tiny(channels=16, lr=2e-3, num_steps=8, guidance=1.0)
    colours = torch.linspace(-0.8, 0.8, NUM_CLASSES * 3).view(NUM_CLASSES, 3)
    method.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    optimizer = method.configure_optimizers()
    torch.manual_seed(0)
    errors = []
    for step in range(80):
        mask = torch.randint(NUM_CLASSES, (4, 2, 2)).repeat_interleave(8, 1)
        mask = mask.repeat_interleave(8, 2)
        image = colours[mask].permute(0, 3, 1, 2)
        if step in (0, 79):
            found = method.predict_step({"mask": mask, "seed": torch.arange(4)}, 0)
            errors.append((found - image).abs().mean())
        optimizer.zero_grad()
        method.training_step({"image": image, "mask": mask}, 0).backward()
        optimizer.step()
    assert errors[1] < 0.6 * errors[0]


def test_same_seed_gives_the_same_image_in_any_batch(batch: Batch) -> None:
    method = tiny()
    both = method.predict_step(seeded(batch), 0)
    alone = method.predict_step({k: v[1:] for k, v in seeded(batch).items()}, 0)
    assert both.shape == (2, 3, SIZE, SIZE)
    assert not both.requires_grad
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both, method.predict_step(seeded(batch, draw=1), 0))


def test_varied_images_have_other_noise_in_one_class_alone(batch: Batch) -> None:
    method = with_velocity(tiny(guidance=1.0), lambda x, time, mask: torch.zeros_like(x))
    asked = {**seeded(batch), "num_samples": 3}
    supplied = method.supply(asked, {"varied", "variations"})
    assert supplied.keys() == {"varied", "varied_class", "variations"}
    images = supplied["varied"]  # the noise itself
    inside = (batch["mask"] == supplied["varied_class"][:, None, None])[:, None]
    change = images.std(1)
    assert not change[~inside.expand_as(change)].any()
    assert change[inside.expand_as(change)].mean() > 0.1
    assert supplied["variations"]["one_class"].shape == (2, 3, 3, SIZE, SIZE)


def test_averaged_weights_are_those_of_the_checkpoint(train: Train, tmp_path: Path) -> None:
    average = GeneratorEMA(decay=0.5, network="network")
    method = tiny()
    trainer = train(method, callbacks=[average])
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert all(saved[f"network.{k}"].equal(v) for k, v in average.average.items())
    opened = LabelFlow.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert all(opened.state_dict()[key].equal(value) for key, value in saved.items())


def test_training_runs_in_bf16(train: Train) -> None:
    method = tiny(recolour=0.5)
    train(method, precision="bf16-mixed")
    assert all(p.isfinite().all() for p in method.parameters())


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match=r"divisible by 16 for depth 5, got \(40, 64\)"):
        LabelFlow(NUM_CLASSES, (40, 64))
    with pytest.raises(ValueError, match=r"channels must be a multiple of 8, got 12"):
        LabelFlow(NUM_CLASSES, channels=12)
    with pytest.raises(ValueError, match=r"label_dropout must be in \[0, 1\), got 1"):
        LabelFlow(NUM_CLASSES, label_dropout=1.0)
