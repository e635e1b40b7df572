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
    """Lightning's checkpoints, written where nothing is under way.

    Lightning writes at the end of a batch or in a validation. The end of an epoch, and what belongs
    to it, is lost if it comes next, as are gradients that wait for those of more batches. Here,
    what falls due is written before the next batch, between two steps; the end of a training alone
    is written at once.
    """

    due: dict[str, Tensor] | None = None
    """The scores of a checkpoint that is to be written."""
    accumulating = False
    """Whether gradients of the batches since the last step are waiting for more."""
    step_before = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove what a process that was killed had begun to write."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit" and trainer.is_global_zero and self.dirpath is not None:
            for unfinished in Path(self.dirpath).glob(".*.ckpt*.part"):
                unfinished.unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Write what has fallen due."""
        if self.due is not None and not self.accumulating:
            with before_batch(trainer):
                self._write(trainer)
        self.step_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """See whether a checkpoint falls due; after the last step, write it at once."""
        self.accumulating = trainer.global_step == self.step_before
        if self.accumulating or self._should_skip_saving_checkpoint(trainer):
            return
        if self._is_due(trainer):
            self.due = self._monitor_candidates(trainer)
        if trainer.global_step == trainer.max_steps and not more_follows(trainer):
            self._write_the_end(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See whether a checkpoint falls due; after the last step, write it."""
        super().on_validation_end(trainer, pl_module)
        if self.due is not None and trainer.global_step == trainer.max_steps:
            self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the end, whatever the interval between checkpoints is."""
        self._write_the_end(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """A termination comes between two steps; one process can still write what is due."""
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
        """Lightning decides whether to write, and not when."""
        self.due = monitor_candidates

    def _save_last_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        """Written with the other."""

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
        scores["step"] = torch.tensor(trainer.global_step)  # it may have waited for a step
        super()._save_topk_checkpoint(trainer, scores)
        super()._save_last_checkpoint(trainer, scores)

    @staticmethod
    def _link_checkpoint(trainer: Trainer, filepath: str, linkpath: str) -> None:
        """Point the link to another file at once: at no moment is there none."""
        link, target = Path(linkpath), Path(filepath)
        if trainer.is_global_zero and link.absolute() != target.absolute():
            with replaced(link) as new:
                new.unlink(missing_ok=True)
                new.symlink_to(target.name)
        trainer.strategy.barrier()


@contextmanager
def before_batch(trainer: Trainer) -> Iterator[None]:
    """Count the batch that was just fetched as not read, for a checkpoint ahead of it."""
    loop = trainer.fit_loop.epoch_loop
    progress = loop.batch_progress
    last, logged = progress.is_last_batch, loop._batches_that_stepped
    progress.is_last_batch = False
    for counts in (progress.total, progress.current):
        counts.ready -= 1
    if validates_next(trainer):  # it has; who goes on skips that, and counts one step
        loop._batches_that_stepped -= 1
    yield
    progress.is_last_batch, loop._batches_that_stepped = last, logged
    for counts in (progress.total, progress.current):
        counts.ready += 1


def validates_next(trainer: Trainer) -> bool:
    """Whether a validation comes after the batch that was counted last."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def more_follows(trainer: Trainer) -> bool:
    """Whether a validation or the end of an epoch follows the batch at hand."""
    return trainer.fit_loop.epoch_loop._num_ready_batches_reached() or validates_next(trainer)
