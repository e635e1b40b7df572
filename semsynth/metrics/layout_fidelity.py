"""Layout fidelity: agreement of a segmenter's prediction with the mask of an image."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from semsynth.data.labels import LabelSpace
from semsynth.errors import UserError
from semsynth.images import to_uint8
from semsynth.metrics.base import ImageMetric
from semsynth.metrics.label_maps import IGNORE, LabelMapName, label_map, num_classes_of, relabel
from semsynth.metrics.segmenters import FrozenSegmenter

PER_CLASS = "IoU_"


def confusion_matrix(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = IGNORE
) -> Tensor:
    """Count pixels by target class (rows) and predicted class (columns).

    Args:
        prediction: Classes, or ``ignore_index`` for none, any shape.
        target: Classes, or ``ignore_index`` for no label, of the same shape.
        num_classes: Number of classes.
        ignore_index: Value of pixels without a class.

    Returns:
        Counts (num_classes + 1, num_classes + 1), int64. The last row counts unlabelled pixels,
        the last column predictions without a class.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction and target must have the same shape, got {tuple(prediction.shape)} and "
            f"{tuple(target.shape)}."
        )
    for name, values in (("prediction", prediction), ("target", target)):
        strange = ((values < 0) | (values >= num_classes)) & (values != ignore_index)
        if strange.any():
            raise ValueError(
                f"{name} must be in 0..{num_classes - 1}, or {ignore_index} for unlabelled; got "
                f"{values[strange].min()}..{values[strange].max()}. Does the segmenter have the "
                "classes of this data set? If not, give segmenter_map or mask_map."
            )
    rows, columns = (
        torch.where(x == ignore_index, num_classes, x).long().flatten()
        for x in (target, prediction)
    )
    cells = (rows * (num_classes + 1) + columns).bincount(minlength=(num_classes + 1) ** 2)
    return cells.reshape(num_classes + 1, num_classes + 1)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union (num_classes,), NaN for classes in neither target nor prediction.

    Unlabelled pixels are ignored.
    """
    labelled = confusion[:-1].double()
    intersection = labelled.diagonal()
    union = labelled.sum(dim=1) + labelled[:, :-1].sum(dim=0) - intersection
    return intersection / union


def layout_scores(confusion: Tensor) -> dict[str, Tensor]:
    """Scores of a confusion matrix.

    Args:
        confusion: Counts (num_classes + 1, num_classes + 1) of ``confusion_matrix``.

    Returns:
        ``MeanIoU`` over the classes that occur in masks or predictions; ``PixelAccuracy`` over
        labelled pixels; ``PixelAccuracyAll`` over all pixels, unlabelled ones counted as wrong;
        ``FrequencyWeightedIoU``, with classes weighted by their pixels in the masks.
    """
    iou = iou_per_class(confusion)
    frequency = confusion[:-1].sum(dim=1).double()
    correct = confusion.diagonal()[:-1].sum().double()
    weighted = torch.where(frequency > 0, frequency * iou, 0).sum()
    return {
        "MeanIoU": iou.nanmean(),
        "PixelAccuracy": correct / confusion[:-1].sum(),
        "PixelAccuracyAll": correct / confusion.sum(),
        "FrequencyWeightedIoU": weighted / frequency.sum(),
    }


def iou_name(name: str) -> str:
    """``IoU_traffic_light``, the score of the class ``traffic light``."""
    return PER_CLASS + re.sub(r"\W+", "_", name).strip("_")


def class_scores(confusion: Tensor, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """IoU of each class that occurs, by its name, or as ``IoU_class_6`` without distinct names."""
    keys = [iou_name(name) for name in names]
    keys = keys if len(set(keys)) == len(keys) else []
    keys += [f"{PER_CLASS}class_{number}" for number in range(len(keys), len(confusion) - 1)]
    scores = zip(keys, iou_per_class(confusion), strict=False)  # a map may drop the last classes
    return {key: iou for key, iou in scores if not iou.isnan()}


class LayoutFidelity(ImageMetric):
    """Mean IoU and pixel accuracy of a segmenter on generated images, and on the real ones.

    One confusion matrix counts the pixels of all images (see ``layout_scores``). The scores of the
    real images, such as ``MeanIoU_real``, show what this segmenter allows, and ``MeanIoU_ratio`` is
    the fraction of it that generated images reach. Published accuracies differ in whether they
    count unlabelled pixels, so both are given.

    In training, scores are those of the data set's evaluation classes, if it has any: masks are
    translated, and so is a segmenter of the training classes. Predictions without an evaluated
    class are wrong where there is a label.

    Args:
        segmenter: ``toy_street``, ``toy_portrait``, a safetensors file with its card, a ``.ckpt``
            of the method ``Segmenter``, ``torchscript:FILE``, ``smp:NAME`` or ``hf:NAME``.
        ignore_index: Value of unlabelled pixels.
        segmenter_map: Evaluated class of each class of the segmenter, 255 for none, or the name of
            a known map.
        mask_map: The same for the masks, instead of the evaluation classes of the data set.
        input_size: Height and width at which the segmenter sees images; by default theirs.
        scales: Factors of that size whose logits are summed.
        flip: Add the logits of mirrored images.
        mean: Mean of the inputs in [0, 1]; by default that of the segmenter's files.
        std: Their standard deviation, likewise.
        per_class: Also log the IoU of each class (see ``class_scores``).
    """

    higher_is_better = True
    real_states = ("confusion_real",)

    confusion_fake: Tensor
    confusion_real: Tensor

    def __init__(
        self,
        segmenter: str,
        ignore_index: int = IGNORE,
        segmenter_map: LabelMapName | Sequence[int] | None = None,
        mask_map: LabelMapName | Sequence[int] | None = None,
        input_size: tuple[int, int] | None = None,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        per_class: bool = False,
    ) -> None:
        super().__init__()
        self.segmenter = FrozenSegmenter(segmenter, input_size, scales, flip, mean, std)
        self.ignore_index = ignore_index
        self.per_class = per_class
        self.class_names: tuple[str, ...] = ()
        self.needs_map = segmenter_map is None
        own = range(self.segmenter.num_classes)
        self.segmenter_map = label_map(own if segmenter_map is None else segmenter_map)
        self.mask_map = None if mask_map is None else label_map(mask_map)
        if len(self.segmenter_map) < len(own):
            raise ValueError(
                f"The segmenter has {len(own)} classes, but segmenter_map translates only "
                f"{len(self.segmenter_map)}."
            )
        self.num_classes = num_classes_of(self.segmenter_map)
        if self.mask_map is not None and num_classes_of(self.mask_map) > self.num_classes:
            raise ValueError(
                f"mask_map has {num_classes_of(self.mask_map)} target classes, but the segmenter "
                f"only {self.num_classes}; give a segmenter_map, or another segmenter."
            )
        self._add_counts()

    def use_classes(self, space: LabelSpace) -> None:
        """Score the evaluation classes of the data, unless ``mask_map`` says otherwise."""
        if self.mask_map is not None:
            return
        scored, own = space.evaluation or space, self.segmenter.num_classes
        self.scored_classes, self.class_names = True, scored.names
        if not self.needs_map or own == scored.num_classes:
            return
        if own != space.num_classes:
            raise UserError(
                f"The segmenter {self.segmenter.name} has {own} classes, but these data are scored "
                f"in {scored.num_classes}; give a segmenter_map, or another segmenter."
            )
        self.segmenter_map = space.evaluation_classes
        self.num_classes = scored.num_classes
        self._add_counts()

    def _add_counts(self) -> None:
        for of in ("fake", "real"):
            counts = torch.zeros(self.num_classes + 1, self.num_classes + 1, dtype=torch.int64)
            self.add_state(f"confusion_{of}", counts, dist_reduce_fx="sum")

    def update(self, fake: Tensor, image: Tensor, mask: Tensor) -> None:
        """Add generated and real images (B, 3, H, W) in [-1, 1] and their masks (B, H, W)."""
        self.confusion_fake += self._confusion(fake, mask)
        if self.loaded_real is None:
            self.confusion_real += self._confusion(image, mask)

    def compute(self) -> dict[str, Tensor]:
        """Scores of the generated images, of the real ones as ``..._real``, and the ratio."""
        scores = layout_scores(self.confusion_fake)
        real = layout_scores(self.real_state()["confusion_real"].to(self.device))
        scores |= {f"{name}_real": score for name, score in real.items()}
        scores["MeanIoU_ratio"] = scores["MeanIoU"] / scores["MeanIoU_real"]
        if self.per_class:
            scores |= class_scores(self.confusion_fake, self.class_names)
        return scores

    def protocol(self) -> dict[str, Any]:
        """Segmenter with its hash, preprocessing and class maps."""
        return {
            **super().protocol(),
            **self.segmenter.protocol(),
            "num_classes": self.num_classes,
            "ignore_index": self.ignore_index,
            "segmenter_map": list(self.segmenter_map),
            "mask_map": None if self.mask_map is None else list(self.mask_map),
        }

    def _confusion(self, image: Tensor, mask: Tensor) -> Tensor:
        if image.ndim != 4 or mask.shape != (len(image), *image.shape[2:]):
            raise ValueError(
                f"Expected images (B, 3, H, W) and their mask (B, H, W), got {tuple(image.shape)} "
                f"and {tuple(mask.shape)}; their sizes must agree."
            )
        prediction = relabel(self.segmenter(to_uint8(image)), self.segmenter_map, ignore_index=-1)
        if self.mask_map is not None:
            target = relabel(mask, self.mask_map, self.ignore_index)
        else:
            target = torch.where(mask == self.ignore_index, IGNORE, mask)
        return confusion_matrix(prediction, target, self.num_classes)
