"""The methods, by the names that experiments use."""

from semsynth.methods.clvae import CLVAE
from semsynth.methods.fewshot_smis import FewShotSMIS
from semsynth.methods.flow_estimator import FlowEstimator
from semsynth.methods.label_flow import LabelFlow
from semsynth.methods.segmenter import Segmenter
from semsynth.methods.stylegan2 import StyleGAN2
from semsynth.methods.user_controllable_lt import UserControllableLT

__all__ = [
    "CLVAE",
    "FewShotSMIS",
    "FlowEstimator",
    "LabelFlow",
    "Segmenter",
    "StyleGAN2",
    "UserControllableLT",
]
