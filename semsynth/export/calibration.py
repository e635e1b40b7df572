"""Thresholds of the filters, by target precision or by share to keep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semsynth.export.edits import warp_masks
from semsynth.export.filters import Scores, Thresholds
from semsynth.export.job import Judged, Plan
from semsynth.export.judges import class_agreement
from semsynth.export.opening import Opened, read_held_out
from semsynth.export.sources import IGNORE, Drawn, pseudo_labels
from semsynth.images import to_uint8
from semsynth.methods import FewShotSMIS
from semsynth.networks.noise import sample_seed

PILOT = 128  # samples whose best share sets the thresholds of a share
EVERYTHING, NOTHING = -1e9, 1e9  # thresholds that pass all or none; finite, for JSON


def calibrate(
    plan: Plan,
    judged: Judged,
    opened: Opened,
    filters: Sequence[str],
    keep: float,
    target: float | None,
    held_out: Path | None,
) -> Thresholds:
    """Thresholds of the active filters except copies, whose distance is given."""
    if not set(filters) - {"copies"}:
        return Thresholds()
    if target is None or held_out is None:
        index = torch.arange(min(PILOT, plan.num))
        parts = [judged(i) for i in index.split(plan.batch_size)]
        mask = torch.cat([drawn.mask for drawn, _ in parts])
        columns: Any = list(zip(*(scores[:4] for _, scores in parts), strict=True))  # without names
        joined: list[Any] = [None if column[0] is None else torch.cat(column) for column in columns]
        return by_share(filters, keep, mask, Scores(*joined))
    height, width = opened.data.image_size
    image, mask = read_held_out(held_out, opened.space, (height, width))
    device = opened.method.device
    image, mask = image.to(device), mask.to(device)
    found = margin = prediction = wrong = None
    if "margin" in filters and isinstance(opened.method, FewShotSMIS):
        found, margin = pseudo_labels(opened.method, opened.method.invert(image))
    scores = judged.score(Drawn(to_uint8(image), mask, [], [], margin))
    if judged.judges is not None:
        prediction = judged.judges(to_uint8(image)).mean(0).argmax(1)
        seed = sample_seed(plan.seed, torch.arange(len(mask)), 2)
        flip = torch.from_numpy(opened.space.flip_lookup())
        moved = warp_masks(mask.cpu(), seed, flip).to(device)
        wrong = class_agreement(prediction, moved, plan.num_classes)
    return by_precision(filters, target, mask, scores, found, prediction, wrong)


def threshold_for_precision(confidence: Tensor, right: Tensor, target: float) -> float:
    """The lowest threshold at which at least ``target`` of the accepted items (N,) are right.

    ``NOTHING`` if no threshold reaches the target; ``EVERYTHING`` without items.
    """
    if not len(confidence):
        return EVERYTHING
    order = confidence.argsort(descending=True)
    values = confidence[order]
    precision = right[order].double().cumsum(0) / torch.arange(1, len(order) + 1).to(values.device)
    last = torch.ones_like(right)  # of its value: ties are accepted together
    last[:-1] = values[:-1] != values[1:]
    good = ((precision >= target) & last).nonzero()
    return float(values[int(good[-1])]) if len(good) else NOTHING


def by_precision(
    filters: Sequence[str],
    target: float,
    mask: Tensor,
    scores: Scores,
    pseudo_labels: Tensor | None,
    prediction: Tensor | None,
    wrong: Tensor | None,
) -> Thresholds:
    """Thresholds from held-out labelled images.

    A pixel is right if its pseudo-label, or the class of the judges' mean, is the true one. Masks
    count as right, and the same masks shifted as wrong.

    Args:
        filters: The active filters.
        target: Target precision, in 0..1.
        mask: True label maps (N, H, W).
        scores: Scores of these images and masks.
        pseudo_labels: Pseudo-labels (N, H, W).
        prediction: Classes (N, H, W) by the judges' mean.
        wrong: Agreement (N, C) with the shifted masks.
    """
    result = Thresholds()
    known = mask != IGNORE
    if "margin" in filters and scores.margin is not None and pseudo_labels is not None:
        result.margin = per_class(scores.margin, pseudo_labels, mask, known, target)
    if "disagreement" in filters and scores.disagreement is not None and prediction is not None:
        found = per_class(1 - scores.disagreement, prediction, mask, known, target)
        result.disagreement = [1 - value for value in found]
    if scores.class_agreement is not None and wrong is not None:
        both = torch.cat([scores.class_agreement, wrong])
        right = torch.arange(len(both), device=both.device) < len(wrong)
        if "class_agreement" in filters:
            result.class_agreement = [
                threshold_for_precision(column[there], right[there], target)
                for column in both.unbind(1)
                for there in [~column.isnan()]
            ]
        if "agreement" in filters:
            result.agreement = threshold_for_precision(both.nanmean(1), right, target)
    return result


def per_class(
    confidence: Tensor, found: Tensor, mask: Tensor, known: Tensor, target: float
) -> list[float]:
    """Threshold of each class over the pixels predicted as such; all maps are (N, H, W)."""
    most = int(max(mask[known].max(), found.max())) + 1
    chosen = [(found == c) & known for c in range(most)]
    return [threshold_for_precision(confidence[w], (mask == found)[w], target) for w in chosen]


def by_share(filters: Sequence[str], keep: float, mask: Tensor, scores: Scores) -> Thresholds:
    """Thresholds that keep the best share ``keep`` of pixels and images, class by class."""
    result = Thresholds()
    classes = range(int(mask[mask != IGNORE].max()) + 1)
    if "margin" in filters and scores.margin is not None:
        result.margin = [quantile(scores.margin[mask == c], 1 - keep) for c in classes]
    if "disagreement" in filters and scores.disagreement is not None:
        pixels = [scores.disagreement[mask == c] for c in classes]
        result.disagreement = [quantile(p, keep) if len(p) else 1.0 for p in pixels]
    if "class_agreement" in filters and scores.class_agreement is not None:
        columns = scores.class_agreement.unbind(1)
        result.class_agreement = [quantile(c[~c.isnan()], 1 - keep) for c in columns]
    if "agreement" in filters and (agreement := scores.agreement) is not None:
        result.agreement = quantile(agreement.nan_to_num(0), 1 - keep)
    return result


def quantile(values: Tensor, share: float) -> float:
    """The quantile ``share`` of values; ``EVERYTHING`` without values."""
    if not len(values):
        return EVERYTHING
    ordered = values.flatten().sort().values  # torch.quantile refuses many values
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
