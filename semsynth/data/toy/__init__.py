"""Worlds of toy images: layout, appearance and motion are known, so the best scores are too."""

from semsynth.data.toy.datamodule import ToyDataModule, ToyDataset, ToyPortrait, ToyStreet
from semsynth.data.toy.portrait import PortraitWorld, TrueMotion
from semsynth.data.toy.street import StreetWorld
from semsynth.data.toy.world import Factors, Rendering, World

__all__ = [
    "Factors",
    "PortraitWorld",
    "Rendering",
    "StreetWorld",
    "ToyDataModule",
    "ToyDataset",
    "ToyPortrait",
    "ToyStreet",
    "TrueMotion",
    "World",
]
