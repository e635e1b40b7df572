"""Frozen backbones of discriminators, by name."""

from torch import nn

from semsynth import weights
from semsynth.networks.timm_backbone import TimmBackbone
from semsynth.networks.unet import UNet
from semsynth.weights import SEGMENTER, cards
from semsynth.weights.hub import find_timm

TIMM = "timm:"
NAMES = "Backbones are toy_street, toy_portrait, the path of a segmenter, and timm:MODEL."


def build_backbone(name: str) -> UNet | TimmBackbone:
    """A backbone with random weights.

    Args:
        name: ``toy_street`` or ``toy_portrait``, whose encoder it is, the path of another segmenter
            with its card, or ``timm:MODEL``.
    """
    if name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM))
    path = cards.find_weights(name, SEGMENTER, "backbone", f" {NAMES}")
    return UNet(**cards.read_card(path, "a segmenter", "network")["network"])


def load_backbone(name: str, backbone: nn.Module) -> None:
    """Load the weights of the backbone of a name."""
    if isinstance(backbone, TimmBackbone):
        needed_for = f"The discriminator's backbone (model.backbone: {name})"
        remedy = "--model.discriminator segmentation"
        backbone.load(str(find_timm(backbone.model, needed_for, remedy, NAMES)))
    else:
        backbone.load_state_dict(weights.load_segmenter(name).state_dict())
