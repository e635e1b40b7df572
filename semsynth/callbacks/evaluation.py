"""Generate on the validation and test splits, and measure."""

import inspect
import json
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer

from semsynth.callbacks.generation import Batch, generate
from semsynth.metrics import ImageMetric

Stage = Literal["val", "test"]


class Evaluation(Callback):
    """Measures generated images on the validation and test splits.

    Each sample gets ``num_samples`` images. A metric's ``update`` names what it wants: ``fake``
    (B, 3, H, W), the first of them, ``fakes`` (B, num_samples, 3, H, W), or any key of the batch.
    The scores are logged as ``val/NAME`` and ``test/NAME`` and written to ``scores/`` in the run
    directory. All processes take part, each with its own samples, and the metrics add up.

    Args:
        metrics: What is measured; each by its class and arguments.
        num_samples: Images for each mask, for the metrics that compare them with each other.
        seed: Seed of the noise.
    """

    def __init__(
        self, metrics: list[ImageMetric] | None = None, num_samples: int = 4, seed: int = 0
    ) -> None:
        if num_samples < 1:
            raise ValueError(f"evaluation.num_samples must be at least 1, got {num_samples}.")
        self.metrics = metrics or []
        self.num_samples = num_samples
        self.seed = seed
        self.wanted = [set(inspect.signature(m.update).parameters) for m in self.metrics]
        self.scores: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Move the metrics, which are in no module tree, to the device of this process."""
        for metric in self.metrics:
            metric.to(trainer.strategy.root_device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Generate for a batch and update the metrics."""
        self._update(trainer, pl_module, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Generate for a batch and update the metrics."""
        self._update(trainer, pl_module, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log and write the scores of the validation split."""
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log and write the scores of the test split."""
        self._finish(trainer, pl_module, "test")

    def _update(self, trainer: Trainer, method: LightningModule, batch: Batch) -> None:
        if not self.metrics:
            return
        draws = self.num_samples if any("fakes" in wanted for wanted in self.wanted) else 1
        fakes = torch.stack(
            [generate(trainer, method, batch, self.seed, draw) for draw in range(draws)], dim=1
        )
        inputs = {**batch, "fake": fakes[:, 0], "fakes": fakes}
        for metric, wanted in zip(self.metrics, self.wanted, strict=True):
            if missing := wanted - inputs.keys():
                raise ValueError(
                    f"{type(metric).__name__} wants {', '.join(sorted(missing))}, which the data "
                    f"does not give; it has {', '.join(sorted(batch))}. Take the metric out of "
                    "evaluation.metrics or choose data that has it."
                )
            metric.update(**{name: inputs[name] for name in wanted})

    def _finish(self, trainer: Trainer, method: LightningModule, stage: Stage) -> None:
        if not self.metrics:
            return
        self.scores = {}
        for metric in self.metrics:
            values = metric.compute()
            method.log_dict({f"{stage}/{name}": value.float() for name, value in values.items()})
            self.scores |= {name: float(value) for name, value in values.items()}
            metric.reset()
        if trainer.is_global_zero and not trainer.sanity_checking:
            record = {
                "step": trainer.global_step or None,  # a test alone takes no steps
                "num_samples": self.num_samples,
                "seed": self.seed,
                "scores": self.scores,
            }
            path = Path(trainer.default_root_dir) / "scores" / f"{stage}.json"
            write_atomically(path, json.dumps(record, indent=2) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name and then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)
