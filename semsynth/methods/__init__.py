"""The methods, by the names that experiments use."""

from semsynth.methods.clvae import CLVAE
from semsynth.methods.segmenter import Segmenter

__all__ = ["CLVAE", "Segmenter"]
