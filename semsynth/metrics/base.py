"""The base class of image metrics."""

import inspect
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from semsynth.data.labels import LabelSpace
from semsynth.metrics.protocol import Card


class ImageMetric(Metric):
    """A metric whose ``update`` names its inputs and whose ``compute`` names its scores.

    The parameters of ``update`` are ``fake`` (B, 3, H, W), the generated images, ``fakes``
    (B, K, 3, H, W), K of them for each mask, batch keys, or what a method supplies (see
    ``Method.supply``). ``compute`` returns scores by the names to log. States are sums, or rows
    sorted independently of the batches, so that several processes add up.

    ``compute`` sets ``caveats``, one line for each reason why its scores mean little.

    Metrics with statistics of the real images name these states in ``real_states``. ``real_state``
    returns them; after ``load_real_state``, ``update`` skips the real images.
    """

    full_state_update = False
    is_differentiable = False
    real_states: ClassVar[tuple[str, ...]] = ()

    scored_classes = False
    """Whether ``mask`` is expected in the classes that are scored, not in those of the training."""

    loaded_real: dict[str, Tensor] | None = None
    caveats: tuple[str, ...] = ()

    def use_classes(self, space: LabelSpace) -> None:
        """Adapt to the classes of the data, before the first update."""

    @property
    def wants(self) -> set[str]:
        """Names of the inputs of ``update``."""
        return set(inspect.signature(self.update).parameters)

    def protocol(self) -> dict[str, Any]:
        """Everything that the score depends on besides the images, as JSON values."""
        return {"metric": type(self).__name__}

    def real_state(self) -> dict[str, Tensor]:
        """Statistics of the real images; empty for a metric without any.

        Loaded statistics are returned unchanged. Otherwise they are those of this process, or
        within ``sync_context()`` of all processes.
        """
        if self.loaded_real is not None:
            return self.loaded_real
        return {name: self.state(name) for name in self.real_states}

    def load_real_state(self, state: dict[str, Tensor] | None) -> None:
        """Use these statistics of real images, the same on all processes, instead of updates.

        They survive ``reset`` and are not summed over processes.

        Args:
            state: Result of ``real_state`` of a metric with the same protocol, or None to use
                real images again.
        """
        if state is not None and state.keys() != set(self.real_states):
            raise ValueError(
                f"{type(self).__name__} needs {sorted(self.real_states)} of the real images, but "
                f"the statistics have {sorted(state)}; delete them and measure again."
            )
        self.loaded_real = state

    def state(self, name: str) -> Tensor:
        """A state as one tensor: a sum unchanged, the rows of a list concatenated."""
        state: Tensor | list[Tensor] = getattr(self, name)
        if isinstance(state, Tensor):
            return state
        return torch.cat(state) if state else torch.empty(0)


class MeanOverMasks(ImageMetric):
    """A score that is a mean over masks."""

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
        """The mean, and its standard error as ``..._stderr`` for at least two masks."""
        mean = self.value_sum / self.num_masks
        scores = {name: mean}
        if self.num_masks > 1:
            variance = (self.square_sum / self.num_masks - mean.square()).clamp(min=0)
            scores[f"{name}_stderr"] = (variance / (self.num_masks - 1)).sqrt()
        return scores


def card_of(metric: ImageMetric, num_samples: int | list[int]) -> Card:
    """The protocol of a metric, with the number of samples per mask that it sees."""
    return metric.protocol() | {"num_samples": num_samples if "fakes" in metric.wants else 1}
