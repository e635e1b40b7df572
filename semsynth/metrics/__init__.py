"""Metrics: the parameters of ``update`` name its inputs, ``fake``, ``fakes`` or batch keys."""

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.class_diversity import ClassDiversity
from semsynth.metrics.diversity import Diversity, Top1Similarity
from semsynth.metrics.editing import EditingAccuracy, Reconstruction, TrackingAccuracy
from semsynth.metrics.frechet import FrechetDistance, ReconstructionFrechet
from semsynth.metrics.kernel import KernelDistance
from semsynth.metrics.layout_fidelity import LayoutFidelity
from semsynth.metrics.neighbours import PrecisionRecall
from semsynth.metrics.segmentation import SegmentationQuality

__all__ = [
    "ClassDiversity",
    "Diversity",
    "EditingAccuracy",
    "FrechetDistance",
    "ImageMetric",
    "KernelDistance",
    "LayoutFidelity",
    "PrecisionRecall",
    "Reconstruction",
    "ReconstructionFrechet",
    "SegmentationQuality",
    "Top1Similarity",
    "TrackingAccuracy",
]
