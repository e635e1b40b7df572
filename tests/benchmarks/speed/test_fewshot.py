from functools import partial
from typing import Any

import pytest
import torch

from benchmarks.speed import fewshot
from benchmarks.speed.stylegan2 import check
from semsynth.networks.stylegan2.generator import StyleGAN2Generator


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_loops_that_are_timed_give_the_labels_of_the_labellers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fewshot, "CHANNELS", 32)
    torch.manual_seed(0)
    labeller, features = fewshot.fitted(kind, "cpu")
    loops: Any = getattr(fewshot, f"{kind}_by_loops")
    labels = labeller(features)
    assert torch.equal(labels.float(), loops(labeller, features)[0])
    assert labels.unique().numel() > 10


def test_steps_that_are_timed_have_the_same_loss_and_gradients() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(64, 16, 16, channel_base=512, channel_max=8)
    small: dict[str, Any] = {"w_dim": 16, "units": (1, 1, 1, 1), "widths": (4, 4, 4, 4)}
    steps, z = fewshot.build_steps(generator, "eager", "cpu", **small)
    gradients = []
    for step in steps.values():
        step(z)
        gradients.append([parameter.grad for parameter in step.parameters])
    for ours, other in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-5, rtol=1e-4)
    check({name: partial(step, z) for name, step in steps.items()}, 1e-4)
