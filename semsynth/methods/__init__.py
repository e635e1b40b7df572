"""The methods, by the names that experiments use."""

from semsynth.methods.clvae import CLVAE
from semsynth.methods.flow_estimator import FlowEstimator
from semsynth.methods.segmenter import Segmenter
from semsynth.methods.stylegan2 import StyleGAN2

__all__ = ["CLVAE", "FlowEstimator", "Segmenter", "StyleGAN2"]
