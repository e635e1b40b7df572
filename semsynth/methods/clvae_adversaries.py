"""Discriminators of CLVAE with their objectives, by name."""

from typing import Literal

from torch import nn

from semsynth.losses.adversarial import (
    Adversary,
    BackboneAdversary,
    PatchAdversary,
    SegmentationAdversary,
)
from semsynth.networks.clvae.patch_discriminator import MultiscaleDiscriminator
from semsynth.networks.rivals.backbone_discriminator import BackboneDiscriminator
from semsynth.networks.rivals.segmentation_discriminator import SegmentationDiscriminator
from semsynth.weights.backbones import build_backbone

Kind = Literal["patch", "segmentation", "pretrained"]


def build_adversary(
    kind: Kind,
    num_classes: int,
    image_size: tuple[int, int],
    channels: int,
    backbone: str,
    *,
    feature_matching_weight: float,
    label_mix_weight: float,
    contrastive_weight: float,
) -> tuple[nn.Module, Adversary]:
    """A discriminator and its objective; the arguments are those of ``CLVAE``."""
    if kind == "patch":
        return (
            MultiscaleDiscriminator(num_classes + 3, channels),
            PatchAdversary(feature_matching_weight),
        )
    if kind == "segmentation":
        depth = min(6, (min(image_size) & -min(image_size)).bit_length() - 2)
        return (
            SegmentationDiscriminator(num_classes, channels, depth),
            SegmentationAdversary(label_mix_weight),
        )
    return (
        BackboneDiscriminator(num_classes, build_backbone(backbone), channels),
        BackboneAdversary(label_mix_weight, contrastive_weight),
    )
