"""Averaged weights of a network."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from semsynth.callbacks.generation import Batch


class GeneratorEMA(Callback):
    """Exponential moving average of a network's weights, for evaluation and checkpoints.

    Unlike Lightning's callback it counts batches, not optimizer steps, and copies one network. A
    checkpoint's ``state_dict`` has the averaged weights, ready to use; the raw weights are in the
    callback's state, for resuming.

    Args:
        decay: Decay per step.
        warm_up: Limit the decay to (1 + n) / (10 + n) at step n.
        network: The method's network: ``generator``, or another that it trains.
    """

    def __init__(
        self, decay: float = 0.999, warm_up: bool = True, network: str = "generator"
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"The decay of GeneratorEMA must be in [0, 1), got {decay}.")
        self.decay = decay
        self.warm_up = warm_up
        self.network = network
        self.num_updates = 0
        self.average: dict[str, Tensor] = {}
        self.training: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the network's weights, or those of a checkpoint."""
        parameters = self._parameters(pl_module)
        if not self.average:
            self.average = {k: p.detach().clone() for k, p in parameters.items()}
        self.average = {k: v.to(parameters[k].device) for k, v in self.average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Move the average towards the current weights."""
        self.num_updates += 1
        ramp = (1 + self.num_updates) / (10 + self.num_updates)
        decay = min(self.decay, ramp) if self.warm_up else self.decay
        current = self._parameters(pl_module)
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, [current[k] for k in self.average], 1 - decay)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Use the average, to evaluate or, after the fit, for a test in the same process."""
        if self.average and not self.training:
            parameters = self._parameters(pl_module)
            self.training = {k: parameters[k].detach().clone() for k in self.average}
            _load(parameters, self.average)

    on_fit_end = on_validation_start

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the raw weights."""
        _load(self._parameters(pl_module), self.training)
        self.training = {}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into the checkpoint's ``state_dict`` and the raw weights beside it."""
        weights = checkpoint["state_dict"]
        training = self.training or {
            k: weights[f"{self.network}.{k}"].clone() for k in self.average
        }
        weights.update({f"{self.network}.{k}": v for k, v in self.average.items()})
        checkpoint["generator_ema"] = {"training": training, "num_updates": self.num_updates}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the raw weights; Lightning has loaded the average."""
        parameters = self._parameters(pl_module)
        self.average = {k: p.detach().clone() for k, p in parameters.items()}
        if state := checkpoint.get("generator_ema"):
            self.num_updates = state["num_updates"]
            _load(parameters, state["training"])

    def _parameters(self, method: LightningModule) -> dict[str, nn.Parameter]:
        return dict(method.get_submodule(self.network).named_parameters())


@torch.no_grad()
def _load(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)
