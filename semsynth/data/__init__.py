"""The data modules, by the names that experiments use."""

from semsynth.data.ade20k import ADE20K
from semsynth.data.base import DataError, LabelSpace, SynthesisDataModule
from semsynth.data.flow_pairs import ToyFlow
from semsynth.data.folder import Folder, MaskFolder
from semsynth.data.toy import ToyPortrait, ToyStreet

__all__ = [
    "ADE20K",
    "DataError",
    "Folder",
    "LabelSpace",
    "MaskFolder",
    "SynthesisDataModule",
    "ToyFlow",
    "ToyPortrait",
    "ToyStreet",
]
