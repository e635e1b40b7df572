"""Random numbers of a training step that depend on the step, not on what ran before it."""

import os
import random

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from semsynth.callbacks.generation import Batch


class StepSeed(Callback):
    """Seeds torch, NumPy and Python before each training step: by run, epoch, batch and process.

    A training that is interrupted and goes on from a checkpoint then draws what it would have
    drawn without the interruption, in all its processes.
    """

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed this process for the step."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        entropy = (seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))
        np.random.seed(state.view(np.uint32))  # noqa: NPY002  of what libraries draw
        random.seed(int(state[0]))
