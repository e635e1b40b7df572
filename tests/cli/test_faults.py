"""Faults in the middle of a training: what is said, and what is left."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch.utils._python_dispatch import TorchDispatchMode

from semsynth.callbacks import Cost, finite, run_directory
from tests.data.trees import write_pair
from tests.helpers.killed import run_processes
from tests.helpers.tiny import METHODS, STEPS, arguments, differences, environment, fit, last

Patch = pytest.MonkeyPatch


def at_step(step: int, act: Callable[[Trainer], None], patch: Patch) -> None:
    """Do something once at the end of a step."""
    original = Cost.on_train_batch_end
    done: list[int] = []

    def acting(self: Cost, trainer: Trainer, *args: Any) -> None:
        original(self, trainer, *args)
        if trainer.global_step == step and not done:
            done.append(step)
            act(trainer)

    patch.setattr(Cost, "on_train_batch_end", acting)


def message_of_fit(method: str, run_dir: Path, *args: str) -> str:
    """The one message that a training ends with."""
    with pytest.raises(SystemExit) as ended:
        fit(method, run_dir, *args)
    return str(ended.value.code)


def fill(value: float, everything: bool = False) -> Callable[[Trainer], None]:
    """Overwrite a parameter on which the losses depend, or all parameters."""

    def act(trainer: Trainer) -> None:
        every = [p for group in trainer.optimizers[0].param_groups for p in group["params"]]
        chosen = every if everything else [trained(trainer)]
        with torch.no_grad():
            for parameter in chosen:
                parameter.fill_(value)

    return act


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of a training without faults."""
    return fit("segmenter", tmp_path_factory.mktemp("whole"))


def is_finite(checkpoint: dict[str, Any]) -> bool:
    tensors = [v for v in checkpoint["state_dict"].values() if v.is_floating_point()]
    return all(bool(v.isfinite().all()) for v in tensors)


def trained(trainer: Trainer) -> torch.nn.Parameter:
    """A parameter on which the losses depend."""
    group = trainer.optimizers[0].param_groups[0]["params"]
    return next(p for p in group if p.grad is not None and p.ndim > 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_no_number_stops_any_method(
    method: str, tmp_path: Path, monkeypatch: Patch
) -> None:
    at_step(
        4, fill(torch.nan, everything=True), monkeypatch
    )  # the fifth step's losses are the first to see it
    message = message_of_fit(method, tmp_path, "--checkpoint.every_n_train_steps=3")
    assert "NaN or infinite values at step 5 (epoch" in message
    assert "nan" in message
    (file,) = (tmp_path / "faults").glob("*.pt")
    assert str(file) in message
    kept = torch.load(file, weights_only=True)
    numbers = kept["batch"].get("index", kept["batch"].get("seed")).tolist()
    assert f"Its samples are {', '.join(map(str, numbers))};" in message
    assert (kept["step"], kept["seed"], len(numbers)) == (5, 42, 2)
    assert last(tmp_path)["global_step"] == 3
    assert is_finite(last(tmp_path))


def test_training_goes_on_from_before_a_loss_that_was_no_number(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: Patch
) -> None:
    options = ["--checkpoint.every_n_train_steps=3"]
    with monkeypatch.context() as patch:
        at_step(4, fill(1e38), patch)
        message_of_fit("segmenter", tmp_path, *options)
    kept = torch.load(next((tmp_path / "faults").glob("*.pt")), weights_only=True)
    assert kept["batch"]["image"].shape == (2, 3, 32, 32)
    assert not differences(whole, fit("segmenter", tmp_path, "--ckpt_path=last"))


def test_weights_that_a_gradient_spoilt_are_not_kept(tmp_path: Path, monkeypatch: Patch) -> None:
    at_step(
        4, fill(torch.inf), monkeypatch
    )  # the losses of step 4 are finite, and a checkpoint is due
    assert re.search(
        r"NaN or infinite values at step 4.*weight", message_of_fit("segmenter", tmp_path), re.S
    )
    assert last(tmp_path)["global_step"] == 2
    assert is_finite(last(tmp_path))


def test_losses_of_a_gpu_are_seen_late_but_not_kept(tmp_path: Path, monkeypatch: Patch) -> None:
    looks: list[int] = []
    original = finite.FiniteLosses.look

    def look(self: finite.FiniteLosses, trainer: Trainer) -> None:
        looks.append(len(self.recent))
        original(self, trainer)

    class NothingIsRead(TorchDispatchMode):
        """Refuses to bring a value from the device to Python."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            assert "_local_scalar_dense" not in str(func)
            return func(*args, **(kwargs or {}))

    remember = finite.FiniteLosses.on_train_batch_end

    def watched(*args: Any) -> None:
        with NothingIsRead():  # type: ignore[no-untyped-call]
            remember(*args)

    monkeypatch.setattr(finite.FiniteLosses, "on_train_batch_end", watched)
    monkeypatch.setattr(finite.FiniteLosses, "look", look)
    monkeypatch.setattr(finite, "runs_ahead", lambda device: True)
    at_step(4, fill(torch.nan), monkeypatch)
    options = ["--trainer.val_check_interval=100", "--checkpoint.every_n_train_steps=3"]
    message = message_of_fit("segmenter", tmp_path, *options)
    assert "NaN or infinite values at step 5" in message
    assert looks == [3, 3]  # before each checkpoint; three steps were not looked at one by one
    assert last(tmp_path)["global_step"] == 3


def test_full_disk_ends_a_training_that_can_go_on(
    whole: dict[str, Any], tmp_path: Path, monkeypatch: Patch
) -> None:
    original, written = torch.save, []

    def full(checkpoint: Any, opened: Any) -> None:
        written.append(1)
        if len(written) == 2:
            opened.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(checkpoint, opened)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        message = message_of_fit("segmenter", tmp_path / "run")
    assert "step_00000004.ckpt could not be written: No space left on device" in message
    assert last(tmp_path / "run")["global_step"] == 2
    resumed = fit("segmenter", tmp_path / "run", "--ckpt_path=last")
    assert not differences(whole, resumed)


def test_cut_off_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    whole = fit("segmenter", tmp_path)
    checkpoint = (tmp_path / "checkpoints/last.ckpt").resolve()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match=r"Damaged or truncated: .*Resuming from .*previous\.ckpt"):
        resumed = fit("segmenter", tmp_path, "--ckpt_path=last")
    assert not differences(whole, resumed)


DEADLY = """
import os, signal, sys
from semsynth.cli import main
from semsynth.data.toy.datamodule import ToyDataset

parent, original = os.getpid(), ToyDataset.__getitems__

def deadly(self, indices):
    if 5 in [int(i) for i in indices] and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, indices)

ToyDataset.__getitems__ = deadly
main(sys.argv[1:])
"""


def test_loader_process_that_dies_ends_the_training_with_a_remedy(tmp_path: Path) -> None:
    # In a process of its own: torch raises the error wherever the main thread is, perhaps while it
    # takes the lock of logging, which nothing would give back.
    words = arguments("segmenter", tmp_path, "--data.num_workers=1")
    command = [sys.executable, "-c", DEADLY, *words]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    for part in ("A loader process died", "--data.num_workers (now 1)", "--ckpt_path last"):
        assert part in ended.stderr


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()]
)
def test_no_memory_says_what_to_lower(
    error: BaseException, tmp_path: Path, monkeypatch: Patch
) -> None:
    def full(trainer: Trainer) -> None:
        raise error

    at_step(4, full, monkeypatch)
    message = message_of_fit("clvae", tmp_path)
    assert message.startswith("semsynth fit: Out of memory")
    for advice in (
        "--data.batch_size (now 2)",
        "--data.image_size (now 32)",
        "--trainer.precision bf16-mixed (now 32-true)",
        "--model.checkpointing true",
        "--model.accumulate_grad_batches (now 1)",
        f"--run_dir {tmp_path} --ckpt_path last",
    ):
        assert advice in message
    found = run_directory.last_checkpoint(tmp_path)
    assert found is not None
    assert is_finite(torch.load(found, weights_only=True))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Eight training pairs and one of validation."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for split, count in (("train", 8), ("val", 1)):
        for i in range(count):
            write_pair(root / split, i, np.full((32, 32), i % 8), seed=i)
    return root


def of_photos(root: Path, *args: str) -> list[str]:
    """What makes the tiny segmenter read files."""
    data = ["--data=Folder", f"--data.root={root}", "--data.num_classes=8", "--data.image_size=32"]
    return [*data, "--trainer.val_check_interval=4", "--data.eval_batch_size=1", *args]


def spoil(root: Path) -> Callable[[Trainer], None]:
    """Cut a photo off while the training runs."""

    def cut(trainer: Trainer) -> None:
        file = root / "train/images/3.png"
        file.write_bytes(file.read_bytes()[:500])

    return cut


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_photo_in_the_middle_of_a_training_is_named(
    workers: int, photos: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    at_step(4, spoil(photos), monkeypatch)
    options = of_photos(photos, f"--data.num_workers={workers}")
    message = message_of_fit("segmenter", tmp_path / "run", *options)
    assert message.startswith(f"semsynth fit: {photos}/train/images/3.png cannot be read (")
    assert "Traceback" not in message


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_photo_is_skipped_and_counted_where_that_is_asked_for(
    workers: int,
    photos: Path,
    tmp_path: Path,
    monkeypatch: Patch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = of_photos(photos, f"--data.num_workers={workers}", "--data.on_bad_file=skip")
    with monkeypatch.context() as patch:
        at_step(4, spoil(photos), patch)
        whole = fit("segmenter", tmp_path / "run", *options)
    assert whole["global_step"] == STEPS
    said = [record.getMessage() for record in caplog.records if "3.png" in record.getMessage()]
    assert "cannot be read" in said[0]
    assert "Skipped; the next sample replac" in said[0]
    assert re.match(r"Skipped samples: (\d+)\. .*3\.png cannot be read.* \(\1 times\)$", said[-1])
    again = fit("segmenter", tmp_path / "again", *options)  # begun with the bad file
    assert again["global_step"] == STEPS


@pytest.mark.slow
def test_terminated_training_ends_with_143_and_goes_on(tmp_path: Path) -> None:
    whole = fit("clvae", tmp_path / "whole")
    command = arguments("clvae", tmp_path / "run", "--ckpt_path=last")
    assert run_processes(command, kill=(0, 5), by=signal.SIGTERM) == [143]
    run_processes(command)
    assert not differences(whole, last(tmp_path / "run"))


@pytest.mark.slow
def test_process_killed_while_it_writes_a_checkpoint_goes_on(tmp_path: Path) -> None:
    command = arguments("segmenter", tmp_path / "run", "--ckpt_path=last")
    run_processes(command, kill=(0, 4), in_write=True)
    left = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert re.fullmatch(r"\.step_00000004\.ckpt\.[0-9a-f]+\.part", left[0])
    assert left[1:] == ["last.ckpt", "step_00000002.ckpt"]
    run_processes(arguments("segmenter", tmp_path / "whole"))
    run_processes(command)
    assert not differences(last(tmp_path / "whole"), last(tmp_path / "run"))
    assert not list((tmp_path / "run/checkpoints").glob(".*.part"))
