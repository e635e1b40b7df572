"""Filters of exported images and their pixels by confidence.

Thresholds are per class, as in class-balanced self-training (Zou et al., ECCV 2018): a single one
would remove the pixels of small and difficult classes first.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from semsynth.export.sources import IGNORE

LEAST_LABELLED = 0.5  # minimum labelled share of a kept image


class Scores(NamedTuple):
    """Scores of a batch of labelled images; None where nothing was measured.

    Attributes:
        margin: Margin of the pseudo-labels (B, H, W).
        disagreement: Of the judges (B, H, W), 0 to 1.
        class_agreement: IoU of the judges' and the intended mask (B, C); NaN for absent classes.
        distance: Distance to the nearest training image (B,).
        nearest: Their names.
    """

    margin: Tensor | None = None
    disagreement: Tensor | None = None
    class_agreement: Tensor | None = None
    distance: Tensor | None = None
    nearest: list[str] | None = None

    @property
    def agreement(self) -> Tensor | None:
        """Mean IoU (B,) over the classes of each mask."""
        return None if self.class_agreement is None else self.class_agreement.nanmean(1)

    def confidence(self, count: int) -> Tensor:
        """Confidence in each of ``count`` images (B,): agreement, else mean margin."""
        if (agreement := self.agreement) is not None:
            return agreement.nan_to_num(0)
        return torch.ones(count) if self.margin is None else self.margin.mean((1, 2))


@dataclass
class Thresholds:
    """Thresholds of the filters; None for inactive ones.

    Attributes:
        margin: Minimum margin of a pixel, by class.
        disagreement: Maximum disagreement at a pixel, by class.
        class_agreement: Minimum IoU of each class of an image; pixels below it are unlabelled.
        agreement: Minimum mean IoU of an image.
        copies: Minimum distance to a training image.
    """

    margin: list[float] | None = None
    disagreement: list[float] | None = None
    class_agreement: list[float] | None = None
    agreement: float | None = None
    copies: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The active thresholds."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Verdict(NamedTuple):
    """The result of filtering a batch.

    Attributes:
        mask: Label maps (B, H, W); 255 for removed pixels.
        reasons: Why each image is dropped; empty for kept ones.
        removed: Share of the pixels of each image that a filter removed (B,), by filter.
    """

    mask: Tensor
    reasons: list[list[str]]
    removed: dict[str, Tensor]


def judge(mask: Tensor, scores: Scores, thresholds: Thresholds) -> Verdict:
    """Apply thresholds to a batch of label maps (B, H, W)."""
    removed: dict[str, Tensor] = {}
    kept = mask
    for name, bad in bad_pixels(mask, scores, thresholds).items():
        gone = bad & (kept != IGNORE)
        removed[name] = gone.float().flatten(1).mean(1)
        kept = kept.masked_fill(gone, IGNORE)
    reasons: list[list[str]] = [[] for _ in mask]
    for name, bad in bad_images(mask, kept, scores, thresholds).items():
        for number in bad.nonzero()[:, 0].tolist():
            reasons[number].append(name)
    return Verdict(kept, reasons, removed)


def bad_pixels(mask: Tensor, scores: Scores, thresholds: Thresholds) -> dict[str, Tensor]:
    """Pixels (B, H, W), bool, that each filter removes."""
    found: dict[str, Tensor] = {}
    if thresholds.margin is not None and scores.margin is not None:
        found["margin"] = scores.margin < of_class(thresholds.margin, mask, -torch.inf)
    if thresholds.disagreement is not None and scores.disagreement is not None:
        limit = of_class(thresholds.disagreement, mask, torch.inf)
        found["disagreement"] = scores.disagreement > limit
    if thresholds.class_agreement is not None and scores.class_agreement is not None:
        least = torch.tensor(thresholds.class_agreement, device=mask.device)
        weak = scores.class_agreement < least  # (B, C); NaN is not below
        row = torch.arange(len(mask), device=mask.device)[:, None, None]
        known = mask < len(least)
        found["class_agreement"] = weak[row, mask.where(known, 0)] & known
    return found


def bad_images(
    mask: Tensor, kept: Tensor, scores: Scores, thresholds: Thresholds
) -> dict[str, Tensor]:
    """Images (B,), bool, that are dropped, by reason."""
    found: dict[str, Tensor] = {}
    if thresholds.agreement is not None and (agreement := scores.agreement) is not None:
        found["agreement"] = agreement.nan_to_num(0) < thresholds.agreement
    if thresholds.copies is not None and scores.distance is not None:
        found["copies"] = scores.distance < thresholds.copies
    labelled = (kept != IGNORE).flatten(1).float().mean(1)
    before = (mask != IGNORE).flatten(1).float().mean(1)
    found["unlabelled"] = (labelled < LEAST_LABELLED * before) | (labelled == 0)
    return found


def of_class(values: list[float], mask: Tensor, otherwise: float) -> Tensor:
    """The value of each pixel's class (B, H, W), with a default for unlabelled pixels."""
    table = torch.tensor([*values, otherwise], device=mask.device)
    return table[mask.where(mask < len(values), len(values))]
