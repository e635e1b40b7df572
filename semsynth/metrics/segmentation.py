"""Quality of a method's segmentation of real images."""

from typing import Any

import torch
from torch import Tensor

from semsynth.metrics.base import ImageMetric
from semsynth.metrics.label_maps import IGNORE
from semsynth.metrics.layout_fidelity import confusion_matrix, iou_per_class, layout_scores


class SegmentationQuality(ImageMetric):
    """Mean IoU, pixel accuracy and IoU of each class of predicted label maps.

    Args:
        num_classes: Number of classes; by default as many as a byte allows.
        ignore_index: Value of unlabelled pixels.
    """

    higher_is_better = True

    confusion: Tensor

    def __init__(self, num_classes: int = IGNORE, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        counts = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", counts, dist_reduce_fx="sum")

    def update(self, fake: Tensor, mask: Tensor) -> None:
        """Add predicted and true classes (B, H, W)."""
        if fake.ndim != 3:
            raise ValueError(
                f"SegmentationQuality needs label maps (B, H, W), got {tuple(fake.shape)}; it is "
                "for methods that segment, such as Segmenter."
            )
        self.confusion += confusion_matrix(fake.long(), mask, self.num_classes, self.ignore_index)

    def compute(self) -> dict[str, Tensor]:
        """``MeanIoU`` and the other ``layout_scores``, and ``IoU_class_3`` for each class."""
        scores = layout_scores(self.confusion)
        for number, iou in enumerate(iou_per_class(self.confusion)):
            if not iou.isnan():
                scores[f"IoU_class_{number}"] = iou
        return scores

    def protocol(self) -> dict[str, Any]:
        """Number of classes and the value of unlabelled pixels."""
        own = {"num_classes": self.num_classes, "ignore_index": self.ignore_index}
        return {**super().protocol(), **own}
