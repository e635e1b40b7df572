"""Toy worlds: layout, appearance and motion are known, and so are upper bounds of scores."""

from semsynth.data.toy.datamodule import ToyDataModule, ToyDataset, ToyPortrait, ToyStreet
from semsynth.data.toy.portrait import PortraitWorld
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
    "World",
]
