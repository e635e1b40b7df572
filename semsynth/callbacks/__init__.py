"""Callbacks that every run shares: evaluation, pictures, predictions, averaged weights, cost."""

from semsynth.callbacks.cost import Cost
from semsynth.callbacks.ema import GeneratorEMA
from semsynth.callbacks.evaluation import Evaluation
from semsynth.callbacks.images import ImageLogger, PredictionWriter
from semsynth.callbacks.requeue import Requeue
from semsynth.callbacks.step_seed import StepSeed

__all__ = [
    "Cost",
    "Evaluation",
    "GeneratorEMA",
    "ImageLogger",
    "PredictionWriter",
    "Requeue",
    "StepSeed",
]
