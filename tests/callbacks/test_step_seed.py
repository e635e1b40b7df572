import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from semsynth.callbacks import StepSeed


def draws(epoch: int, batch: int, rank: int) -> tuple[float, ...]:
    """What is drawn in a step, after who knows what before it."""
    torch.rand(3), np.random.rand(2), random.random()  # noqa: NPY002
    trainer: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    StepSeed().on_train_batch_start(trainer, None, {}, batch)  # type: ignore[arg-type]
    return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002


@pytest.mark.parametrize("source", [0, 1, 2])
def test_draws_depend_on_run_epoch_batch_and_process_alone(
    source: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    first = draws(1, 2, 0)[source]
    assert draws(1, 2, 0)[source] == first
    others = [draws(*place)[source] for place in [(0, 2, 0), (1, 3, 0), (1, 2, 1)]]
    monkeypatch.setenv("PL_GLOBAL_SEED", "6")
    others.append(draws(1, 2, 0)[source])
    assert len({first, *others}) == 5
