"""Labels of generator features from a few labelled images.

Endo and Kanamori, "Few-shot Semantic Image Synthesis Using StyleGAN Prior"
(https://arxiv.org/abs/2103.14877): dense and sparse pseudo-labelling, and improvements. Each
labeller is fitted once, and then works from its buffers, without the shots.
"""

from semsynth.networks.fewshot.pseudo_labels.bank import SparseBank
from semsynth.networks.fewshot.pseudo_labels.features import stack_features
from semsynth.networks.fewshot.pseudo_labels.grid import downsample_labels
from semsynth.networks.fewshot.pseudo_labels.prototypes import DensePrototypes
from semsynth.networks.fewshot.pseudo_labels.readout import LinearReadout
from semsynth.networks.fewshot.pseudo_labels.self_training import surest_labels

__all__ = [
    "DensePrototypes",
    "LinearReadout",
    "SparseBank",
    "downsample_labels",
    "stack_features",
    "surest_labels",
]
