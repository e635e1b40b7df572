"""Callbacks that every run shares: evaluation, pictures, predictions, averaged weights, cost."""

from semsynth.callbacks.checkpoint import Checkpoint
from semsynth.callbacks.cost import Cost
from semsynth.callbacks.ema import GeneratorEMA
from semsynth.callbacks.evaluation import Evaluation
from semsynth.callbacks.finite import FiniteLosses
from semsynth.callbacks.images import ImageLogger, PredictionWriter
from semsynth.callbacks.resume import Interruption, LengthOfRun, Position, StepSeed

__all__ = [
    "Checkpoint",
    "Cost",
    "Evaluation",
    "FiniteLosses",
    "GeneratorEMA",
    "ImageLogger",
    "Interruption",
    "LengthOfRun",
    "Position",
    "PredictionWriter",
    "StepSeed",
]
