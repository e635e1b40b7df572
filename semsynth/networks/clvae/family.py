"""Encoders and generators of class-wise codes: CLVAE's, and those of its rivals."""

from typing import Any, Literal

from torch import nn

from semsynth.networks.clvae.encoder import MIDDLE_LEVEL, CLVAEEncoder
from semsynth.networks.clvae.generator import CLVAEGenerator
from semsynth.networks.clvae.spade_generator import Upsampling
from semsynth.networks.rivals.groupdnet import GroupedEncoder, GroupedGenerator
from semsynth.networks.rivals.inade import InstanceAdaptiveGenerator

Architecture = Literal["clvae", "groupdnet", "inade"]
NOISE_DIM = 64  # of an instance in INADE


def build_networks(
    architecture: Architecture,
    *,
    num_classes: int,
    image_size: tuple[int, int],
    channels: int,
    upsampling: Upsampling,
    spade_channels: int,
    z_dim: int,
    code_dim: int | None,
    num_levels: int,
    class_wise: bool,
    layer_wise: bool,
    encoder_size: int,
    instances_per_class: int,
    code_last_blocks: bool,
    coupled_prior: bool,
    checkpointing: bool,
) -> tuple[nn.Module, nn.Module]:
    """Encoder and generator of an architecture, with a common interface of codes.

    The arguments are those of ``CLVAEEncoder`` and ``CLVAEGenerator``; rivals use some of them.
    """
    if instances_per_class > 1 and not (class_wise and architecture != "groupdnet"):
        raise ValueError(
            "instances_per_class above 1 needs class_wise, and architecture clvae or inade."
        )
    if architecture != "clvae" and (code_last_blocks or coupled_prior or checkpointing):
        raise ValueError(
            "code_last_blocks, coupled_prior and checkpointing are options of architecture clvae, "
            f"not of {architecture}; leave them out."
        )
    encoder: nn.Module
    if architecture == "groupdnet":
        width = max(1, channels // 8)  # of one class
        encoder = GroupedEncoder(num_classes, image_size, width, upsampling=upsampling)
        sizes = (num_classes, image_size, channels)
        return encoder, GroupedGenerator(
            *sizes, spade_channels=spade_channels, upsampling=upsampling
        )
    if architecture == "inade":
        noise = code_dim or NOISE_DIM
        encoder = CLVAEEncoder(
            num_classes,
            channels,
            z_dim=0,
            code_dim=noise,
            encoder_size=encoder_size,
            instances_per_class=instances_per_class,
            levels=(MIDDLE_LEVEL, MIDDLE_LEVEL),  # one head for scales, one for shifts
        )
        return encoder, InstanceAdaptiveGenerator(
            num_classes, image_size, channels, noise, instances_per_class, upsampling
        )
    codes: dict[str, Any] = {
        "channels": channels,
        "z_dim": z_dim,
        "code_dim": code_dim,
        "num_levels": num_levels,
        "class_wise": class_wise,
        "layer_wise": layer_wise,
        "instances_per_class": instances_per_class,
    }
    encoder = CLVAEEncoder(num_classes, **codes, encoder_size=encoder_size)
    return encoder, CLVAEGenerator(
        num_classes,
        image_size,
        **codes,
        upsampling=upsampling,
        spade_channels=spade_channels,
        code_last_blocks=code_last_blocks,
        coupled_prior=coupled_prior,
        checkpointing=checkpointing,
    )
