"""What may end a training from outside of our code, and what to do about it."""

import errno
from typing import Any

import torch

from semsynth.errors import UserError

BAD_DATA = "\nsemsynth.data."
"""What the last part of a loader process's stack trace begins with if the data are at fault."""


class FaultError(UserError):
    """Memory, disk or a loader process gave out; the message says what to do."""


def explain(error: BaseException, config: Any) -> str | None:
    """A message with a remedy for errors that a user can do something about.

    Args:
        error: What was raised.
        config: Configuration of the command.

    Returns:
        The message; None for an error of another kind.
    """
    text = str(error)
    go_on = f"Then go on with --run_dir {config.run_dir} --ckpt_path last."
    if is_out_of_memory(error):
        return f"Out of memory ({first_line(text)}). {what_to_lower(config)} {go_on}"
    if "in DataLoader worker process" in text and BAD_DATA in text:
        return text.rpartition(BAD_DATA)[2].partition(": ")[2].strip()
    if is_dead_loader(error, config.data.init_args.num_workers):
        return (
            f"A loader process died ({first_line(text)}). Often it was killed because memory, or "
            "shared memory (/dev/shm), ran out: lower --data.num_workers (now "
            f"{config.data.init_args.num_workers}), or give the job more. {go_on}"
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" at {error.filename}" if error.filename else ""
        return f"The disk is full{place} ({error.strerror}). Make room. {go_on}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    known = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate")
    return isinstance(error, RuntimeError | OSError) and any(part in text for part in known)


def is_dead_loader(error: BaseException, num_workers: int) -> bool:
    """Whether a loader process ended; one that dies while it sends breaks the connection."""
    text = str(error)
    if num_workers and isinstance(error, ConnectionError | EOFError):
        return True
    return "DataLoader worker" in text and ("exited" in text or "is killed by signal" in text)


def what_to_lower(config: Any) -> str:
    """What takes memory, with its value, what helps most coming first."""
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
        advice += "; or --model.checkpointing true (now false), which computes more and keeps less"
    if "accumulate_grad_batches" in model:
        advice += (
            "; --model.accumulate_grad_batches (now "
            f"{model['accumulate_grad_batches']}) makes up for a smaller batch"
        )
    return f"{advice}."


def first_line(text: str) -> str:
    """The first line of a message, without its end if it is long."""
    return (text.strip().splitlines() or ["no details"])[0][:200]
