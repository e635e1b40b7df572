"""Callbacks that every run shares: evaluation, pictures, predictions, averaged weights."""

from semsynth.callbacks.ema import GeneratorEMA
from semsynth.callbacks.evaluation import Evaluation
from semsynth.callbacks.images import ImageLogger, PredictionWriter

__all__ = ["Evaluation", "GeneratorEMA", "ImageLogger", "PredictionWriter"]
