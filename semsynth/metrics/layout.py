"""Layout fidelity: does a segmenter find the mask in the image that was made from it?"""

import torch
from torch import Tensor

from semsynth import weights
from semsynth.metrics.base import ImageMetric
from semsynth.metrics.features import Frozen, exact_float32


def confusion_matrix(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Count pixels by target class (rows) and predicted class (columns).

    Args:
        prediction: Classes, any shape.
        target: Classes or ``ignore_index``, of the same shape.
        num_classes: Number of classes.
        ignore_index: Target of pixels that do not count, whatever is predicted there.

    Returns:
        Counts (num_classes, num_classes), int64.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have one shape, got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}."
        )
    counted = target != ignore_index
    prediction, target = prediction[counted].long(), target[counted].long()
    for name, values in (("prediction", prediction), ("target", target)):
        if ((values < 0) | (values >= num_classes)).any():
            raise ValueError(
                f"{name} must lie in 0..{num_classes - 1}, or be {ignore_index} where a target has "
                f"no label; got {values.min()}..{values.max()}. Does the segmenter know the "
                "classes of this data set?"
            )
    cells = (target * num_classes + prediction).bincount(minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, NaN for classes in neither target nor prediction.

    Args:
        confusion: Counts (num_classes, num_classes).

    Returns:
        IoU (num_classes,), float64.
    """
    intersection = confusion.diagonal().double()
    return intersection / (confusion.sum(dim=0) + confusion.sum(dim=1) - intersection)


class Segmenter(Frozen):
    """A frozen segmentation network: images in, classes out.

    Args:
        name: A toy world or a path (see ``weights.load_segmenter``).
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = weights.load_segmenter(name)
        self.num_classes = self.network.head.out_channels

    def forward(self, image: Tensor) -> Tensor:
        """Classes (B, H, W) of images (B, 3, H, W) in [-1, 1]."""
        with exact_float32(image.device):
            return self.network(image.float()).argmax(dim=1)


class LayoutFidelity(ImageMetric):
    """Mean IoU and pixel accuracy of a segmenter on generated images, and on the real ones.

    One confusion matrix counts the pixels of all images. ``MeanIoU`` averages over the classes that
    occur in masks or predictions, ``PixelAccuracy`` over pixels with a label. The same figures for
    the real images, ``MeanIoU_real`` and ``PixelAccuracy_real``, say what this segmenter allows.

    Args:
        segmenter: ``toy_street``, ``toy_portrait``, or the path of a safetensors file.
        ignore_index: Value of pixels without a label.
    """

    higher_is_better = True

    confusion_fake: Tensor
    confusion_real: Tensor

    def __init__(self, segmenter: str, ignore_index: int = 255) -> None:
        super().__init__()
        self.segmenter = Segmenter(segmenter)
        self.ignore_index = ignore_index
        C = self.segmenter.num_classes
        for of in ("fake", "real"):
            counts = torch.zeros(C, C, dtype=torch.int64)
            self.add_state(f"confusion_{of}", counts, dist_reduce_fx="sum")

    def update(self, fake: Tensor, image: Tensor, mask: Tensor) -> None:
        """Add images.

        Args:
            fake: Images (B, 3, H, W) in [-1, 1] made from ``mask``.
            image: Real images (B, 3, H, W) of ``mask``, in [-1, 1].
            mask: Classes (B, H, W), or ``ignore_index``.
        """
        self.confusion_fake += self._confusion(fake, mask)
        self.confusion_real += self._confusion(image, mask)

    def compute(self) -> dict[str, Tensor]:
        """``MeanIoU`` and ``PixelAccuracy``, and both of the real images as ``..._real``."""
        scores = {}
        for suffix, confusion in (("", self.confusion_fake), ("_real", self.confusion_real)):
            scores[f"MeanIoU{suffix}"] = iou_per_class(confusion).nanmean()
            correct = confusion.diagonal().sum().double()
            scores[f"PixelAccuracy{suffix}"] = correct / confusion.sum()
        return scores

    def _confusion(self, image: Tensor, mask: Tensor) -> Tensor:
        if image.ndim != 4 or mask.shape != (len(image), *image.shape[2:]):
            raise ValueError(
                f"Expected images (B, 3, H, W) and their mask (B, H, W), got {tuple(image.shape)} "
                f"and {tuple(mask.shape)}; both must have one size."
            )
        num_classes = self.segmenter.num_classes
        return confusion_matrix(self.segmenter(image), mask, num_classes, self.ignore_index)
