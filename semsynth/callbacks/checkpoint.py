"""Checkpoints from which a training resumes as if it had never stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from semsynth.callbacks.generation import Batch
from semsynth.files import replaced


class Checkpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, but written only between two optimizer steps.

    Lightning writes at the end of a batch or during validation, which loses accumulated gradients,
    and the end of an epoch if that comes next. Here a checkpoint that is due is written before the
    next batch; only the end of training is written at once.
    """

    due: dict[str, Tensor] | None = None
    """Scores of a pending checkpoint."""
    accumulating = False
    """Whether gradients are being accumulated."""
    step_before = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove partial files of killed processes."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and trainer.is_global_zero and self.dirpath is not None:
            for unfinished in Path(self.dirpath).glob(".*.ckpt*.part"):
                unfinished.unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Write a pending checkpoint."""
        if self.due is not None and not self.accumulating:
            with before_batch(trainer):
                self._write(trainer)
        self.step_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """Check whether a checkpoint is due; after the last step, write it at once."""
        self.accumulating = trainer.global_step == self.step_before
        if self.accumulating or self._should_skip_saving_checkpoint(trainer):
            return
        if self._is_due(trainer):
            self.due = self._monitor_candidates(trainer)
        if trainer.global_step == trainer.max_steps and not more_follows(trainer):
            self._write_the_end(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check whether a checkpoint is due; after the last step, write it."""
        super().on_validation_end(trainer, pl_module)
        if self.due is not None and trainer.global_step == trainer.max_steps:
            self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final checkpoint, whatever the interval."""
        self._write_the_end(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """SIGTERM is handled between two steps; a single process can still write."""
        between_steps = isinstance(exception, SIGTERMException) and trainer.world_size == 1
        if between_steps and self.due is not None:
            self._write(trainer)
        super().on_exception(trainer, pl_module, exception)

    def _is_due(self, trainer: Trainer) -> bool:
        steps, interval = self._every_n_train_steps, self._train_time_interval
        if steps and trainer.global_step % steps == 0:
            return True
        if interval is None or self._last_time_checked is None:
            return False
        passed = time.monotonic() - self._last_time_checked >= interval.total_seconds()
        return bool(trainer.strategy.broadcast(passed))  # clocks differ

    def _save_topk_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        """Lightning decides whether to write, not when."""
        self.due = monitor_candidates

    def _save_last_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        """Written together with the top-k checkpoint."""

    def _write_the_end(self, trainer: Trainer) -> None:
        if self.due is None and self.monitor is None:
            self.due = self._monitor_candidates(trainer)
        if self.due is not None and not self._should_skip_saving_checkpoint(trainer):
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        scores, self.due = self.due, None
        assert scores is not None
        self._last_time_checked = time.monotonic()
        if self.monitor is not None and self.monitor not in scores:
            self._defer_save_until_validation = True
            return
        scores["step"] = torch.tensor(trainer.global_step)  # may have been pending for a step
        super()._save_topk_checkpoint(trainer, scores)
        super()._save_last_checkpoint(trainer, scores)

    @staticmethod
    def _link_checkpoint(trainer: Trainer, filepath: str, linkpath: str) -> None:
        """Repoint the link atomically."""
        link, target = Path(linkpath), Path(filepath)
        if trainer.is_global_zero and link.absolute() != target.absolute():
            with replaced(link) as new:
                new.unlink(missing_ok=True)
                new.symlink_to(target.name)
        trainer.strategy.barrier()


@contextmanager
def before_batch(trainer: Trainer) -> Iterator[None]:
    """Count the batch just fetched as unread, for a checkpoint before it."""
    loop = trainer.fit_loop.epoch_loop
    progress = loop.batch_progress
    last, logged = progress.is_last_batch, loop._batches_that_stepped
    progress.is_last_batch = False
    for counts in (progress.total, progress.current):
        counts.ready -= 1
    if validates_next(trainer):  # it has run; a resumed training skips it and counts one step
        loop._batches_that_stepped -= 1
    yield
    progress.is_last_batch, loop._batches_that_stepped = last, logged
    for counts in (progress.total, progress.current):
        counts.ready += 1


def validates_next(trainer: Trainer) -> bool:
    """Whether validation follows the last counted batch."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def more_follows(trainer: Trainer) -> bool:
    """Whether validation or the end of an epoch follows the current batch."""
    return trainer.fit_loop.epoch_loop._num_ready_batches_reached() or validates_next(trainer)
