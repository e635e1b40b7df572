"""What makes an interrupted training resume exactly."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning_utilities.core.rank_zero import rank_zero_warn

from semsynth.callbacks.checkpoint import before_batch
from semsynth.callbacks.generation import Batch

INTERRUPTED = 75
"""Exit status of a training that saved a checkpoint and should be rerun (EX_TEMPFAIL)."""


class Interruption(Callback):
    """On SIGUSR1 or Ctrl-C, saves ``checkpoints/last.ckpt`` between two steps and exits.

    SLURM sends SIGUSR1 ahead of the time limit (``#SBATCH --signal=SIGUSR1@90``); the job is then
    requeued. Lightning's own handlers save at once, also in the middle of a step and at different
    steps in different processes, which can deadlock, or do not save at all (Ctrl-C); here all
    processes agree on the step. Resumed with ``--ckpt_path last``, the training goes on as if
    nothing had happened.

    Outside SLURM, and where ``SEMSYNTH_REQUEUE=0`` says that the parent process does it, the job
    is not requeued. The exit status is 75 after SIGUSR1, 130 after Ctrl-C; a second Ctrl-C stops
    at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.seen_step = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the signals; Lightning keeps a handler that is there before its own."""
        if stage == "fit" and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._ask)
            signal.signal(signal.SIGINT, self._ask)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Save and exit if any process got the signal, and no gradients are being accumulated."""
        if trainer.global_step == self.seen_step:
            return
        self.seen_step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(self.signal is not None, all=False):
            self._save(trainer)
            self._leave(trainer)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        """Leave without saving if the time limit is near; Ctrl-C waits for the next step."""
        if self.signal == signal.SIGUSR1:
            self._leave(trainer)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, _: int = 0
    ) -> None:
        """Leave: the training is over and saved, and the test can be repeated."""
        if self.signal is not None:
            self._leave(trainer)

    def _ask(self, number: int, _: Any) -> None:
        self.signal = number
        if number == signal.SIGINT:
            rank_zero_warn("Ctrl-C: saving before the next step. Press it again to stop at once.")
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _save(self, trainer: Trainer) -> None:
        callback = trainer.checkpoint_callback
        if not isinstance(callback, ModelCheckpoint) or callback.dirpath is None:
            return
        last = Path(callback.dirpath, "last.ckpt")
        with before_batch(trainer):
            trainer.save_checkpoint(last)  # by all processes; a link is replaced, not its target

    def _leave(self, trainer: Trainer) -> None:
        resume = f"semsynth fit --run_dir {trainer.default_root_dir} --ckpt_path last"
        rank_zero_warn(f"Interrupted at step {trainer.global_step}. Resume: {resume}")
        requeues = SLURMEnvironment.detect() and os.environ.get("SEMSYNTH_REQUEUE") != "0"
        if self.signal == signal.SIGINT:
            raise SystemExit(128 + signal.SIGINT)
        if requeues and trainer.is_global_zero:
            subprocess.run(["scontrol", "requeue", slurm_job()], check=False)
        raise SystemExit(INTERRUPTED)


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Put back the handlers of signals that are replaced inside; Lightning does so only in part."""
    is_main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGUSR1) if is_main else ()
    before = {number: signal.getsignal(number) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def slurm_job() -> str:
    """Number of this job, ``ARRAY_TASK`` in an array."""
    array, job = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ["SLURM_JOB_ID"]
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job


class Position(Callback):
    """Lets a resumed training read the samples that come next.

    A method that asks in ``configure_optimizers`` how many steps there will be opens the training
    data before the trainer knows where to resume; their loader would start the epoch over.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reopen the training data; the trainer does that before each epoch if necessary."""
        if trainer.ckpt_path is not None:
            trainer.fit_loop._combined_loader = None


class LengthOfRun(Callback):
    """Lets a resumed training be longer or shorter than before.

    A schedule of the learning rate saves the number of steps that it was made for. Without it, it
    follows ``max_steps`` of the present run.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Forget how long the former run was to be."""
        for schedule in checkpoint.get("lr_schedulers", []):
            for key in ("total_steps", "_schedule_phases"):
                schedule.pop(key, None)
            if schedule.pop("T_max", None):  # written when a cosine was a class of its own
                schedule["lr_lambdas"] = [None] * len(schedule["base_lrs"])


class StepSeed(Callback):
    """Seeds torch, NumPy and Python before each training step: by run, epoch, batch and process.

    A resumed training then draws what it would have drawn without the interruption, in all its
    processes.
    """

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed this process for the step."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        entropy = (seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))
        np.random.seed(state.view(np.uint32))  # noqa: NPY002  for libraries
        random.seed(int(state[0]))
