"""The data modules, by the names that experiments use."""

from semsynth.data.ade20k import ADE20K
from semsynth.data.base import SynthesisDataModule
from semsynth.data.camvid import CamVid
from semsynth.data.ccp import CCP
from semsynth.data.celebamask_hq import CelebAMaskHQ
from semsynth.data.cityscapes import Cityscapes
from semsynth.data.deepfashion import DeepFashion
from semsynth.data.errors import DataError
from semsynth.data.extended import Extended
from semsynth.data.few_shot import FewShotFolder
from semsynth.data.flow_pairs import ToyFlow
from semsynth.data.folder import Folder, MaskFolder, read_reference
from semsynth.data.generated_pairs import CachedPairs, GeneratedPairs
from semsynth.data.gta5 import GTA5
from semsynth.data.images import Images
from semsynth.data.labels import LabelSpace
from semsynth.data.toy import ToyPortrait, ToyStreet

__all__ = [
    "ADE20K",
    "CCP",
    "GTA5",
    "CachedPairs",
    "CamVid",
    "CelebAMaskHQ",
    "Cityscapes",
    "DataError",
    "DeepFashion",
    "Extended",
    "FewShotFolder",
    "Folder",
    "GeneratedPairs",
    "Images",
    "LabelSpace",
    "MaskFolder",
    "SynthesisDataModule",
    "ToyFlow",
    "ToyPortrait",
    "ToyStreet",
    "read_reference",
]
