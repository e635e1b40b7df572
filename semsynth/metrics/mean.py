"""A mean over masks with its standard error."""

import torch
from torch import Tensor

from semsynth.metrics.base import ImageMetric


class MeanOverMasks(ImageMetric):
    """A score that is a mean over masks: one number for each mask comes in."""

    value_sum: Tensor
    square_sum: Tensor
    num_masks: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("value_sum", "square_sum"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_masks", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, values: Tensor) -> None:
        """Add the values (B,) of some masks."""
        self.value_sum += values.double().sum()
        self.square_sum += values.double().square().sum()
        self.num_masks += len(values)

    def scores(self, name: str) -> dict[str, Tensor]:
        """The mean, and its standard error as ``..._stderr`` where there are two masks or more."""
        mean = self.value_sum / self.num_masks
        scores = {name: mean}
        if self.num_masks > 1:
            variance = (self.square_sum / self.num_masks - mean.square()).clamp(min=0)
            scores[f"{name}_stderr"] = (variance / (self.num_masks - 1)).sqrt()
        return scores
