"""Small files as official codes write them, one function a kind."""

from typing import Any

import torch

from tests.interop.conftest import below, rosinality_checkpoint
from tests.interop.test_clvae import official
from tests.interop.test_latent_transformer import shapes
from tests.interop.test_psp import encoder_state

SIZES = {"channel_base": 64, "channel_max": 4, "w_dim": 8, "layers": 2}


def stylegan2() -> dict[str, Any]:
    """Rosinality's, converted."""
    return rosinality_checkpoint(**SIZES)


def psp() -> dict[str, Any]:
    """An encoder and its generator."""
    prior = stylegan2()
    state = below(prior["g_ema"], "decoder") | below(encoder_state(6, w_dim=8), "encoder")
    return {"state_dict": state, "latent_avg": prior["latent_avg"], "opts": {"input_nc": 5}}


def latent_transformer() -> dict[str, Any]:
    """A latent transformer and its generator."""
    prior = rosinality_checkpoint(image_size=64, channel_base=512, channel_max=16)
    draw = torch.Generator().manual_seed(3)
    sizes = shapes(24, 16, 8, 1, 64, 8)
    state = {f"encoder.{k}": torch.randn(s, generator=draw) / 5 for k, s in sizes.items()}
    state |= below(prior["g_ema"], "decoder")
    return {"state_dict": state, "opts": {}, "latent_avg": prior["latent_avg"]}


def clvae() -> dict[str, Any]:
    """The state of a generator."""
    return dict(official()["G"])
