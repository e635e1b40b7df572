"""Quality of a method's segmentation of real images."""

from typing import Any

import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.metrics.base import ImageMetric
from semsynth.metrics.label_maps import IGNORE
from semsynth.metrics.layout_fidelity import class_scores, confusion_matrix, layout_scores


class SegmentationQuality(ImageMetric):
    """Mean IoU, pixel accuracy and IoU of each class of predicted label maps.

    In training, predictions and masks are scored in the evaluation classes of the data set.

    Args:
        num_classes: Number of classes; by default as many as a byte allows.
        ignore_index: Value of unlabelled pixels.
    """

    higher_is_better = True

    confusion: Tensor

    def __init__(self, num_classes: int = IGNORE, ignore_index: int = IGNORE) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.space: LabelSpace | None = None
        counts = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", counts, dist_reduce_fx="sum")

    def use_classes(self, space: LabelSpace) -> None:
        """Score the evaluation classes of the data."""
        self.space, self.scored_classes = space, True

    def update(self, fake: Tensor, mask: Tensor) -> None:
        """Add predicted and true classes (B, H, W)."""
        if fake.ndim != 3:
            raise ValueError(
                f"SegmentationQuality needs label maps (B, H, W), got {tuple(fake.shape)}; it is "
                "for methods that segment, such as Segmenter."
            )
        fake = fake.long()
        if self.space is not None:
            fake = self.space.to_evaluation(fake)
        self.confusion += confusion_matrix(fake, mask, self.num_classes, self.ignore_index)

    def compute(self) -> dict[str, Tensor]:
        """``MeanIoU`` and the other ``layout_scores``, and the IoU of each class by its name."""
        names = () if self.space is None else (self.space.evaluation or self.space).names
        return layout_scores(self.confusion) | class_scores(self.confusion, names)

    def protocol(self) -> dict[str, Any]:
        """Number of classes, the value of unlabelled pixels, and the evaluation classes, if any."""
        own: dict[str, Any] = {"num_classes": self.num_classes, "ignore_index": self.ignore_index}
        if self.space is not None and self.space.evaluation is not None:
            own |= {"segmenter_map": list(self.space.evaluation_classes)}
        return {**super().protocol(), **own}
