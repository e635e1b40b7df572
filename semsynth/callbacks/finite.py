"""Stop at a NaN or infinite loss, and keep the batch that it came from."""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from semsynth.callbacks.generation import Batch
from semsynth.errors import UserError
from semsynth.files import replaced

INTERVAL = 8
"""Batches between two checks on a GPU; as many are kept in its memory."""


class NonFiniteLossError(UserError):
    """A loss is NaN or infinite; the message names the step, its samples and a file."""


class Seen(NamedTuple):
    """A batch that was trained on."""

    place: dict[str, int]  # epoch, batch in the epoch and steps so far
    names: list[str]  # of the logged values
    values: Tensor  # (N,), on the device
    batch: Batch


class FiniteLosses(Callback):
    """Stops on NaN or infinity in anything that a method logs in training.

    To avoid synchronising the GPU at each step, losses are checked after every eighth batch, before
    validation and before a checkpoint: at most seven batches late, but never too late for a
    checkpoint. On a CPU they are checked at once.
    """

    def __init__(self) -> None:
        self.recent: list[Seen] = []
        self.latest: Seen | None = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Remember the batch and its logged values."""
        place = {"epoch": trainer.current_epoch, "batch": batch_idx, "step": trainer.global_step}
        names, values = logged(trainer)
        if isinstance(outputs, dict) and isinstance(loss := outputs.get("loss"), Tensor):
            names, values = [*names, "loss"], [*values, loss.detach()]
        device = pl_module.device
        flat = [value.to(device, torch.float32, non_blocking=True) for value in values]
        stacked = torch.stack(flat) if flat else torch.zeros(0, device=device)
        self.latest = Seen(place, names, stacked, batch)
        self.recent.append(self.latest)
        if len(self.recent) == INTERVAL or not runs_ahead(device):
            self.look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check before anything is measured."""
        self.look(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check before anything is kept, the weights too: a gradient may have spoilt them."""
        self.look(trainer)
        weights = [(name, p.detach()) for name, p in pl_module.named_parameters()]
        fine = torch.stack([p.isfinite().all() for _, p in weights]).tolist()
        spoilt = [name for (name, _), good in zip(weights, fine, strict=True) if not good]
        if spoilt and self.latest is not None:
            raise NonFiniteLossError(report(trainer, self.latest, dict.fromkeys(spoilt, math.nan)))

    def look(self, trainer: Trainer) -> None:
        """Check everything logged since the last check, in all processes."""
        recent, self.recent = self.recent, []
        if not recent:
            return
        lengths = [len(seen.names) for seen in recent]
        values = torch.cat([seen.values for seen in recent]).cpu().split(lengths)  # synchronises
        bad = [i for i, own in enumerate(values) if not own.isfinite().all()]
        if not trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            return
        if not bad:
            raise NonFiniteLossError(
                "A loss is NaN or infinite in another process; see its message."
            )
        seen, own = recent[bad[0]], values[bad[0]].tolist()
        raise NonFiniteLossError(report(trainer, seen, dict(zip(seen.names, own, strict=True))))


def runs_ahead(device: torch.device) -> bool:
    """Whether a device runs asynchronously, so that reading a value would block."""
    return device.type != "cpu"


def logged(trainer: Trainer) -> tuple[list[str], list[Tensor]]:
    """Names and latest values logged by the training steps."""
    found = {
        item.meta.name: item._forward_cache
        for item in trainer.fit_loop.epoch_loop._results.values()
        if item.is_tensor and isinstance(item._forward_cache, Tensor)
    }
    return list(found), list(found.values())


def report(trainer: Trainer, seen: Seen, found: dict[str, float]) -> str:
    """Save the batch to the run directory; return a message with cause and remedies."""
    place = seen.place | {"rank": trainer.global_rank}
    seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
    name = f"step_{place['step']:08d}_rank{place['rank']}.pt"
    file = Path(trainer.default_root_dir, "faults", name)
    content = {
        **place,
        "seed": seed,
        "found": found,
        "batch": move_data_to_device(seen.batch, torch.device("cpu")),
    }
    with replaced(file) as temporary, temporary.open("wb") as opened:
        torch.save(content, opened)
    bad = [f"{name} {value}" for name, value in found.items() if not math.isfinite(value)]
    listed = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
    return (
        f"NaN or infinite values at step {place['step']} (epoch {place['epoch']}, batch "
        f"{place['batch']}): {listed}. Its samples are {samples(seen.batch)}; the batch is in "
        f"{file}. Checkpoints are from before, and --ckpt_path last reaches the same batch again. "
        "Look at the samples, lower the learning rate, or use --trainer.precision 32-true or "
        "bf16-mixed."
    )


def samples(batch: Batch) -> str:
    """Names of the samples of a batch, or their indices."""
    found = next((batch[key] for key in ("name", "index", "seed") if key in batch), ["unnamed"])
    listed = found.flatten().tolist() if isinstance(found, Tensor) else found
    return ", ".join(str(name) for name in listed)
