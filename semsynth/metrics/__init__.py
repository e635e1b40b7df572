"""Metrics: each ``update`` names what it wants, ``fake``, ``fakes`` or a key of the batch."""

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.diversity import Diversity
from semsynth.metrics.frechet import FrechetDistance
from semsynth.metrics.layout import LayoutFidelity

__all__ = ["Diversity", "FrechetDistance", "ImageMetric", "LayoutFidelity"]
