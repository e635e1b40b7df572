from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.methods.prior_base import PriorMethod
from semsynth.weights import WeightsError
from tests.helpers.small_prior import save_prior


def test_checkpoint_holds_the_fingerprint_and_not_the_prior(tmp_path: Path) -> None:
    method = PriorMethod(save_prior(tmp_path / "a.safetensors"))
    checkpoint: dict[str, Any] = {"state_dict": method.state_dict()}
    method.on_save_checkpoint(checkpoint)
    assert not checkpoint["state_dict"]
    assert set(checkpoint["prior"]) == {"name", "fingerprint"}
    method.on_load_checkpoint(checkpoint)
    method.load_state_dict(checkpoint["state_dict"])


def test_checkpoint_of_another_prior_is_refused(tmp_path: Path) -> None:
    a = PriorMethod(save_prior(tmp_path / "a.safetensors"))
    b = PriorMethod(save_prior(tmp_path / "b.safetensors", seed=1))
    checkpoint: dict[str, Any] = {"state_dict": a.state_dict()}
    a.on_save_checkpoint(checkpoint)
    with pytest.raises(WeightsError, match=r"belongs to the prior .*a\.safetensors"):
        b.on_load_checkpoint(checkpoint)


def test_prior_stays_in_eval_mode_and_gets_no_gradient(tmp_path: Path) -> None:
    method = PriorMethod(save_prior(tmp_path / "a.safetensors")).train()
    assert method.training
    assert not method.generator.training
    assert not any(p.requires_grad for p in method.generator.parameters())


def test_latents_depend_on_their_own_seed_alone(tmp_path: Path) -> None:
    method = PriorMethod(save_prior(tmp_path / "a.safetensors"))
    w = method.sample_w(torch.tensor([5, 6, 7]))
    assert torch.allclose(method.sample_w(torch.tensor([6])), w[1:2], atol=1e-6)
    assert not torch.allclose(w[0], w[1])
