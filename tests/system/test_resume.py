"""A training that is interrupted and resumed ends where it would have ended."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.callbacks import Cost, run_directory
from tests.helpers import tiny
from tests.helpers.tiny import differences

BY_VALIDATION = ["--trainer.max_steps=6", "--checkpoint.every_n_train_steps=null"]


def fit(run_dir: Path, *args: str) -> dict[str, Any]:
    """Train, and return the last checkpoint."""
    return tiny.fit("clvae", run_dir, *BY_VALIDATION, *args)


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, step: int, by: signal.Signals = signal.SIGUSR1
) -> None:
    """Send a signal to this process in the middle of a step's bookkeeping, once."""
    original = Cost.on_train_batch_end
    sent: list[int] = []

    def interrupting(self: Cost, trainer: Any, *args: Any) -> None:
        original(self, trainer, *args)
        if trainer.global_step == step and not sent:
            sent.append(step)
            os.kill(os.getpid(), by)

    monkeypatch.setattr(Cost, "on_train_batch_end", interrupting)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of a training without interruption: an epoch and a half."""
    return fit(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("by", "step", "saved"),  # within an epoch, before a validation, between epochs
    [
        (signal.SIGUSR1, 1, 1),
        (signal.SIGUSR1, 3, None),
        (signal.SIGUSR1, 4, 4),
        (signal.SIGINT, 3, 3),
    ],
)
def test_interrupted_training_ends_with_the_same_weights(
    whole: dict[str, Any],
    by: signal.Signals,
    step: int,
    saved: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupt_after(monkeypatch, step, by)
    before = signal.getsignal(signal.SIGINT)
    resume = re.escape(f"Resume: semsynth fit --run_dir {tmp_path} --ckpt_path last")
    with pytest.raises(SystemExit) as exit_info, pytest.warns(UserWarning, match=resume):
        fit(tmp_path)
    assert exit_info.value.code == (130 if by == signal.SIGINT else 75)
    assert signal.getsignal(signal.SIGINT) is before
    last = run_directory.last_checkpoint(tmp_path)
    step_saved = last and torch.load(last, weights_only=True)["global_step"]
    assert step_saved == saved
    resumed = fit(tmp_path, "--ckpt_path=last")
    assert resumed["global_step"] == whole["global_step"] == 6
    for key in ("state_dict", "optimizer_states"):
        assert not differences(resumed[key], whole[key])


def test_training_that_died_goes_on_from_its_last_validation(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Cost, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 5:
            raise RuntimeError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(Cost, "on_train_batch_end", die)
        with pytest.raises(RuntimeError, match="no more"):
            fit(tmp_path)
    (tmp_path / "checkpoints/last.ckpt").unlink()
    (tmp_path / "checkpoints/last.ckpt").symlink_to("gone.ckpt")  # killed between two writes
    resumed = fit(tmp_path, "--ckpt_path=last")
    assert not differences(resumed["state_dict"], whole["state_dict"])


def test_cost_is_counted_over_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(monkeypatch, 2)
    with pytest.raises(SystemExit):
        fit(tmp_path)
    fit(tmp_path, "--ckpt_path=last")
    cost = json.loads((tmp_path / "scores/cost.json").read_text())
    assert cost["images"] == 6 * 2
    assert cost["images_per_second"] > 0
    assert 0 < cost["train_seconds"] < 60
    assert 0.05 < cost["peak_memory_gib"] < 16
    assert cost["device"] == "cpu"
    assert cost["step"] == cost["steps"] == 6


def test_accumulation_by_the_trainer_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"CLVAE .*--model\.accumulate_grad_batches instead"):
        fit(tmp_path, "--trainer.accumulate_grad_batches=2")
