"""Where pretrained weights come from and how they are found offline.

Those in ``semsynth/assets`` ship with the package. Others are only downloaded on request.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semsynth.weights.registry import DOWNLOADS, PACKAGES, WeightsFile
from semsynth.weights.store import (
    MissingWeightsError,
    WeightsError,
    find,
    home,
    locate,
    search_directories,
    source_of,
)

if TYPE_CHECKING:
    from semsynth.networks.unet import UNet

__all__ = [
    "ASSETS",
    "DOWNLOADS",
    "PACKAGES",
    "MissingWeightsError",
    "WeightsError",
    "WeightsFile",
    "find",
    "home",
    "load_segmenter",
    "locate",
    "search_directories",
    "shipped",
    "source_of",
]

ASSETS = Path(__file__).parents[1] / "assets"
SEGMENTER = "_segmenter"


def shipped(suffix: str = SEGMENTER) -> list[str]:
    """Names of shipped weights with this suffix, by default of the segmenters."""
    return sorted(p.stem.removesuffix(suffix) for p in ASSETS.glob(f"*{suffix}.safetensors"))


def load_segmenter(name: str) -> UNet:
    """A segmenter, frozen and in eval mode.

    Args:
        name: ``toy_portrait``, ``toy_street``, or the path of a safetensors file with its card.
    """
    from semsynth.networks.unet import UNet  # here, so that `semsynth weights` needs no torch
    from semsynth.weights import cards

    path = cards.find_weights(name, SEGMENTER, "segmenter")
    card = cards.read_card(path, "a segmenter", "network")
    return cards.read_network(path, UNet, card["network"]).eval().requires_grad_(False)
