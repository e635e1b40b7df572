"""Checks before a run starts, and remedies for external failures.

Each check raises a ``UserError`` that names value and remedy.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import StrategyRegistry

from semsynth.cli.messages import meant
from semsynth.cli.sbatch import value_of
from semsynth.errors import UserError, require_positive
from semsynth.files import FULL, WriteError
from semsynth.methods.opening import check_file

OTHER_SHAPES = "Error(s) in loading state_dict"
BAD_DATA = "\nsemsynth.data."  # ends a worker's stack trace if the data are invalid


class FaultError(UserError):
    """Memory or disk ran out, or a loader process died."""


def choose_device(name: str | None) -> torch.device:
    """A device by name, or by default the GPU of this process if there is one, else the CPU."""
    gpus = torch.cuda.device_count()
    devices = ["cpu", *["cuda"] * (gpus > 0), *(f"cuda:{i}" for i in range(gpus))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    if name is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if gpus else "cpu"
    if name not in devices:
        raise UserError(f"device {name!r} not found; available: {', '.join(devices)}.")
    return torch.device(name)


def require_config(args: list[str], files: tuple[str, ...]) -> None:
    """Refuse a checkpoint without a configuration, given or in its run directory."""
    path = value_of(args, "--ckpt_path", "")
    if not path or files or any(arg.partition("=")[0] == "--model" for arg in args):
        return
    check_file(path)
    raise UserError(
        f"{path} has no config.yaml in its run directory; give the configuration with "
        "--config FILE."
    )


def check_trainer(trainer: dict[str, Any]) -> None:
    """Refuse invalid devices, strategies and intervals before Lightning does."""
    if trainer["accelerator"] in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator is {trainer['accelerator']}, but torch sees no GPU here. Give "
            "--trainer.accelerator cpu, or leave it at auto; semsynth doctor lists the devices."
        )
    devices = trainer["devices"]
    words = [part.strip() for part in str(devices).split(",")]
    plain = isinstance(devices, list) or devices == "auto" or all(w.isdigit() for w in words)
    if not (plain or str(devices) == "-1") or devices in (0, "0", []):
        raise UserError(
            f"trainer.devices is {devices!r}; give a number of at least 1, GPUs as [0, 1], or auto."
        )
    require_devices(devices, trainer["accelerator"])
    strategy, known = trainer["strategy"], ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in known:
        raise UserError(
            f"trainer.strategy is {strategy!r}, which is unknown{meant(strategy, known)} Leave it "
            "at auto, which chooses one that can train the method."
        )
    for name in ("val_check_interval", "check_val_every_n_epoch"):
        require_positive(**{f"trainer.{name}": trainer[name]})


def require_devices(devices: Any, accelerator: str) -> None:
    """Refuse more processes on this machine than it has GPUs, or could run on its CPU."""
    on_gpu = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    on_cpu = not on_gpu and accelerator in ("auto", "cpu")
    most = torch.cuda.device_count() if on_gpu else max(8, os.cpu_count() or 1)
    if (on_gpu or on_cpu) and str(devices).isdigit() and int(devices) > most:
        what = "GPUs" if on_gpu else "processes on the CPU"
        raise UserError(
            f"trainer.devices is {devices}, but this machine has at most {most} {what}."
        )


@contextmanager
def explained(checkpoint: str | None) -> Iterator[None]:
    """Convert errors of Lightning and torch at the start of a run to those of the configuration."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(str(error)) from error
    except RuntimeError as error:
        if OTHER_SHAPES not in str(error):
            raise
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(
            f"The weights in {checkpoint} do not fit this configuration: {detail[:200]} Give the "
            "configuration of its run, RUN/config.yaml."
        ) from error


def explain_fault(error: BaseException, config: Any) -> str | None:
    """A message with a remedy for errors that a user can fix."""
    text = str(error)
    first_line = (text.strip().splitlines() or ["no details"])[0][:200]
    go_on = f"Then resume with --run_dir {config.run_dir} --ckpt_path last."
    if is_out_of_memory(error):
        return f"Out of memory ({first_line}). {what_to_lower(config)} {go_on}"
    if "in DataLoader worker process" in text and BAD_DATA in text:
        return text.rpartition(BAD_DATA)[2].partition(": ")[2].strip()
    if is_dead_loader(error, config.data.init_args.num_workers):
        return (
            f"A loader process died ({first_line}), often because memory, or "
            "shared memory (/dev/shm), ran out: lower --data.num_workers (now "
            f"{config.data.init_args.num_workers}), or give the job more. {go_on}"
        )
    if isinstance(error, WriteError):
        return f"{error} {go_on}"
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" at {error.filename}" if error.filename else ""
        return f"The disk is full{place} ({error.strerror}). Free space. {go_on}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    known = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate")
    return isinstance(error, RuntimeError | OSError) and any(part in text for part in known)


def is_dead_loader(error: BaseException, num_workers: int) -> bool:
    """Whether a loader process died, or its connection broke."""
    text = str(error)
    if num_workers and isinstance(error, ConnectionError | EOFError):
        return True
    return "DataLoader worker" in text and ("exited" in text or "is killed by signal" in text)


def what_to_lower(config: Any) -> str:
    """Settings that take memory, the most effective first, with their values."""
    data, model = config.data.init_args, config.model.init_args
    parts = [
        f"--data.{key} (now {data[key]})"
        for key in ("batch_size", "eval_batch_size", "image_size")
        if key in data
    ]
    advice = f"Lower {', '.join(parts)}"
    precision = config.trainer.precision or "32-true"
    if "16" not in str(precision):
        advice += f"; or use --trainer.precision bf16-mixed (now {precision})"
    if "checkpointing" in model and not model["checkpointing"]:
        advice += "; or --model.checkpointing true (now false), which trades time for memory"
    if "accumulate_grad_batches" in model:
        now = model["accumulate_grad_batches"]
        advice += f"; --model.accumulate_grad_batches (now {now}) compensates for a smaller batch"
    return f"{advice}."
