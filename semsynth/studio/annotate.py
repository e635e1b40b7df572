"""Train a few-shot encoder on hand-labelled samples in memory."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from semsynth.callbacks.loggers import silence_noise
from semsynth.methods import FewShotSMIS

Batch = dict[str, Any]
Network = TypeVar("Network", bound=nn.Module)
Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, all steps and the loss."""
BATCH_SIZE = 8
MOST_STEPS = 10**6  # dummy data set of indices


class ReportSteps(Callback):
    """Calls ``progress`` after each step."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Tell it."""
        loss = float(trainer.callback_metrics.get("train/loss", torch.nan))
        self.progress(trainer.global_step, trainer.max_steps, loss)


def fresh_copy(method: FewShotSMIS, seed: int = 0) -> FewShotSMIS:
    """An untrained method with the same arguments, on an alias of the same prior."""
    arguments = {k: v for k, v in dict(method.hparams).items() if not k.startswith("_")}
    arguments |= {"perceptual": "none", "encoder_from": None, "optimizer": "adam"}
    arguments |= {"lr": max(arguments["lr"], 5e-3), "lr_decay": True}  # for short trainings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = FewShotSMIS(**arguments)
    fresh.generator = alias_of(method.generator)
    return fresh.to(method.device)


def alias_of(network: Network) -> Network:
    """A network of its own on the same memory: moving it or changing its mode leaves the first.

    Lightning moves what it has trained to the CPU.
    """
    tensors: dict[int, Any] = {id(b): b.detach() for b in network.buffers()}
    for p in network.parameters():
        tensors[id(p)] = nn.Parameter(p.detach(), p.requires_grad)
    return copy.deepcopy(network, tensors)


def train_on_shots(method: FewShotSMIS, shots: Batch, steps: int, progress: Progress) -> None:
    """Train on ``mask`` (N, H, W) and ``w_plus`` or ``image`` of samples.

    Afterwards the method is in eval mode, on the device where it was.
    """
    device = method.device

    def collate(numbers: list[int]) -> Batch:
        return {"index": torch.tensor(numbers), "shots": shots}

    silence_noise()
    loader: DataLoader[Tensor] = DataLoader(
        range(MOST_STEPS),  # type: ignore[arg-type]  # anything with a length and items
        batch_size=BATCH_SIZE,
        collate_fn=collate,
    )
    trainer = Trainer(
        accelerator="cpu" if method.device.type == "cpu" else "gpu",
        devices=1,
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ReportSteps(progress)],
    )
    trainer.fit(method, loader)
    method.to(device).requires_grad_(False).eval()
