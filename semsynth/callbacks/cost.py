"""Cost of a training: throughput and memory."""

import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from semsynth.callbacks.generation import Batch
from semsynth.files import write_text

WRITE_SECONDS = 2
WARM_UP = 3  # untimed steps after each start: allocation, autotuning, first reads


class Cost(Callback):
    """Writes ``scores/cost.json`` into the run directory every few seconds and at the end.

    - ``images_per_second``: of all processes, without evaluation and the first steps,
    - ``train_seconds``: time of all steps, including those before an interruption,
    - ``images``: samples seen, repeats counted,
    - ``peak_memory_gib``: of the first process, on its GPU, or resident memory without one,
    - ``device``, ``num_processes``,
    - ``step`` of ``steps``, for whoever watches.
    """

    def __init__(self) -> None:
        self.totals = {"seconds": 0.0, "images": 0, "timed_seconds": 0.0, "timed_images": 0}
        self.peak = 0
        self.steps = 0
        self.started = 0.0
        self.written = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The counts so far, for resuming."""
        return self.totals | {"peak": self.peak}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume counting from a checkpoint."""
        self.totals = {key: state_dict[key] for key in self.totals}
        self.peak = state_dict["peak"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.steps = 0
        self.started = time.perf_counter()
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Count a step, including data loading."""
        now = time.perf_counter()
        spent, self.started = now - self.started, now
        images = batch_size(batch) * trainer.world_size
        self.steps += 1
        self._add("", spent, images)
        if self.steps > WARM_UP:
            self._add("timed_", spent, images)
        self.peak = max(self.peak, peak_memory(pl_module.device))
        if now - self.written > WRITE_SECONDS:
            self.written = now
            self._write(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exclude evaluation."""
        self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final counts."""
        self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or not self.totals["images"]:
            return
        timed = "timed_" if self.totals["timed_images"] else ""
        images, seconds = self.totals[f"{timed}images"], self.totals[f"{timed}seconds"]
        device, on_gpu = pl_module.device, pl_module.device.type == "cuda"
        record = {
            "images_per_second": round(images / max(seconds, 1e-9), 3),
            "train_seconds": round(self.totals["seconds"], 3),
            "images": self.totals["images"],
            "peak_memory_gib": round(self.peak / 2**30, 3),
            "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
            "num_processes": trainer.world_size,
            "step": trainer.global_step,
            "steps": trainer.max_steps if trainer.max_steps > 0 else None,
        }
        path = Path(trainer.default_root_dir) / "scores" / "cost.json"
        write_text(path, json.dumps(record, indent=2) + "\n")

    def _add(self, prefix: str, seconds: float, images: int) -> None:
        self.totals[f"{prefix}seconds"] += seconds
        self.totals[f"{prefix}images"] += images


def batch_size(batch: Batch) -> int:
    """Batch size, whatever the keys."""
    return next((len(v) for v in batch.values() if isinstance(v, Tensor) and v.ndim), 0)


def peak_memory(device: torch.device) -> int:
    """Peak bytes so far: of tensors on a GPU, resident elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB
