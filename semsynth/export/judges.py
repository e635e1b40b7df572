"""Ensembles of segmenters that score exported images by agreement with mask and each other."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from semsynth.metrics.segmenters import FrozenSegmenter

TINY = 1e-9


class Judges:
    """An ensemble of segmenters."""

    def __init__(self, names: Sequence[str], num_classes: int, device: torch.device) -> None:
        self.segmenters = [FrozenSegmenter(name).to(device) for name in names]
        for segmenter in self.segmenters:
            if segmenter.num_classes != num_classes:
                raise ValueError(
                    f"The judge {segmenter.name} has {segmenter.num_classes} classes, but the "
                    f"exported masks have {num_classes}; train it on the same labels."
                )

    def __call__(self, image: Tensor) -> Tensor:
        """Class probabilities (J, B, C, H, W) by each judge of images (B, 3, H, W), uint8."""
        return torch.stack([s.logits(image).softmax(1) for s in self.segmenters])


def class_agreement(prediction: Tensor, mask: Tensor, num_classes: int) -> Tensor:
    """IoU (B, num_classes) of prediction and mask (B, H, W); NaN for classes absent in the mask.

    Pixels of the mask without a class are ignored.
    """
    known = mask < num_classes
    found = torch.where(known, prediction, num_classes)
    wanted = torch.where(known, mask, num_classes)
    pixels = [count_pixels(x, num_classes) for x in (found, wanted)]
    both = count_pixels(torch.where(found == wanted, wanted, num_classes), num_classes)
    iou = both / (pixels[0] + pixels[1] - both).clamp(min=1)
    return iou.masked_fill(pixels[1] == 0, torch.nan)


def count_pixels(labels: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class (B, num_classes) of label maps (B, H, W) from 0 to num_classes."""
    flat = labels.flatten(1)
    counts = torch.zeros(len(flat), num_classes + 1, device=flat.device)
    return counts.scatter_add(1, flat, torch.ones_like(flat, dtype=counts.dtype))[:, :-1]


def disagreement(probabilities: Tensor) -> Tensor:
    """Jensen-Shannon divergence (B, H, W) of judges (J, B, C, H, W), as a share of its maximum."""
    mean = probabilities.mean(0)
    divergence = entropy(mean, 1) - entropy(probabilities, 2).mean(0)
    most = math.log(min(len(probabilities), probabilities.shape[2]))
    return (divergence / max(most, TINY)).clamp(0, 1)


def entropy(probabilities: Tensor, dim: int) -> Tensor:
    """Entropy in nats over a dimension."""
    return -(probabilities * probabilities.clamp(min=TINY).log()).sum(dim)
