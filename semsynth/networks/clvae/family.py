"""Encoders and generators of class-wise codes: CLVAE's own, and those it is compared with."""

from typing import Any, Literal

from torch import nn

from semsynth.networks.clvae.encoder import MIDDLE_LEVEL, CLVAEEncoder
from semsynth.networks.clvae.generator import CLVAEGenerator
from semsynth.networks.clvae.spade import Upsampling
from semsynth.networks.rivals.groupdnet import GroupedEncoder, GroupedGenerator
from semsynth.networks.rivals.inade import InstanceAdaptiveGenerator

Architecture = Literal["clvae", "groupdnet", "inade"]
GROUP_CODE_CHANNELS = 8  # of a class at each cell of the first map
NOISE_DIM = 64  # of an instance in INADE


def build_networks(
    architecture: Architecture,
    num_classes: int,
    image_size: tuple[int, int],
    channels: int,
    spade_channels: int,
    z_dim: int,
    code_dim: int | None,
    num_levels: int,
    class_wise: bool,
    layer_wise: bool,
    upsampling: Upsampling,
    encoder_size: int,
    instances_per_class: int,
    code_last_blocks: bool,
    coupled_prior: bool,
    checkpointing: bool,
) -> tuple[nn.Module, nn.Module]:
    """Encoder and generator of an architecture; all of them give and take codes alike.

    Raises:
        ValueError: The architecture has no such option.
    """
    if instances_per_class > 1 and not (class_wise and architecture in ("clvae", "inade")):
        raise ValueError(
            "Instances have codes of their own where classes have: instances_per_class above 1 "
            "needs class_wise, and architecture clvae or inade."
        )
    if architecture != "clvae" and (code_last_blocks or coupled_prior or checkpointing):
        raise ValueError(
            "code_last_blocks, coupled_prior and checkpointing are options of architecture clvae, "
            f"not of {architecture}; leave them out."
        )
    if architecture == "groupdnet":
        width = max(1, channels // 8)  # of one class
        return (
            GroupedEncoder(num_classes, image_size, width, GROUP_CODE_CHANNELS, upsampling),
            GroupedGenerator(
                num_classes, image_size, channels, GROUP_CODE_CHANNELS, spade_channels, upsampling
            ),
        )
    if architecture == "inade":
        noise = code_dim or NOISE_DIM
        encoder = CLVAEEncoder(
            num_classes,
            channels,
            0,
            noise,
            encoder_size=encoder_size,
            instances_per_class=instances_per_class,
            levels=(MIDDLE_LEVEL, MIDDLE_LEVEL),  # one head for scales, one for shifts
        )
        generator = InstanceAdaptiveGenerator(
            num_classes, image_size, channels, noise, instances_per_class, upsampling
        )
        return encoder, generator
    codes = (channels, z_dim, code_dim, num_levels)
    switches: dict[str, Any] = {"class_wise": class_wise, "layer_wise": layer_wise}
    return (
        CLVAEEncoder(
            num_classes,
            *codes,
            **switches,
            encoder_size=encoder_size,
            instances_per_class=instances_per_class,
        ),
        CLVAEGenerator(
            num_classes,
            image_size,
            *codes,
            **switches,
            upsampling=upsampling,
            spade_channels=spade_channels,
            instances_per_class=instances_per_class,
            code_last_blocks=code_last_blocks,
            coupled_prior=coupled_prior,
            checkpointing=checkpointing,
        ),
    )
