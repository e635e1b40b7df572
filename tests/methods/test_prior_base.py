from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.methods.prior_base import PriorMethod
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import WeightsError
from semsynth.weights.priors import save_generator


def tiny_prior(path: Path, seed: int) -> str:
    arguments: dict[str, Any] = {"image_size": 16, "z_dim": 8, "w_dim": 8, "mapping_layers": 2}
    arguments |= {"channel_base": 64, "channel_max": 8}
    torch.manual_seed(seed)
    save_generator(StyleGAN2Generator(**arguments), path, {"generator": arguments})
    return str(path)


def test_checkpoint_holds_the_fingerprint_and_not_the_prior(tmp_path: Path) -> None:
    method = PriorMethod(tiny_prior(tmp_path / "a.safetensors", 0))
    checkpoint: dict[str, Any] = {"state_dict": method.state_dict()}
    method.on_save_checkpoint(checkpoint)
    assert not checkpoint["state_dict"]
    assert set(checkpoint["prior"]) == {"name", "fingerprint"}
    method.on_load_checkpoint(checkpoint)
    method.load_state_dict(checkpoint["state_dict"])


def test_checkpoint_of_another_prior_is_refused(tmp_path: Path) -> None:
    a = PriorMethod(tiny_prior(tmp_path / "a.safetensors", 0))
    b = PriorMethod(tiny_prior(tmp_path / "b.safetensors", 1))
    checkpoint: dict[str, Any] = {"state_dict": a.state_dict()}
    a.on_save_checkpoint(checkpoint)
    with pytest.raises(WeightsError, match=r"belongs to the prior .*a\.safetensors"):
        b.on_load_checkpoint(checkpoint)


def test_prior_stays_in_eval_mode_and_gets_no_gradient(tmp_path: Path) -> None:
    method = PriorMethod(tiny_prior(tmp_path / "a.safetensors", 0)).train()
    assert method.training
    assert not method.generator.training
    assert not any(p.requires_grad for p in method.generator.parameters())


def test_latents_depend_on_their_own_seed_alone(tmp_path: Path) -> None:
    method = PriorMethod(tiny_prior(tmp_path / "a.safetensors", 0))
    w = method.sample_w(torch.tensor([5, 6, 7]))
    assert torch.allclose(method.sample_w(torch.tensor([6])), w[1:2], atol=1e-6)
    assert not torch.allclose(w[0], w[1])
