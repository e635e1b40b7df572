"""What is looked at before a run starts, because it would show late or without its name.

Each function raises a ``UserError`` that names value and remedy.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import StrategyRegistry

from semsynth.cli.messages import meant
from semsynth.errors import UserError, require_positive
from semsynth.methods.opening import check_file

OTHER_SHAPES = "Error(s) in loading state_dict"


def require_config(args: list[str], files: tuple[str, ...]) -> None:
    """Refuse a checkpoint without a configuration: none was given, and none lies in its run.

    Args:
        args: The command and its arguments.
        files: Configuration files among them.
    """
    paths = [
        b if a == "--ckpt_path" else a.partition("=")[2]
        for a, b in pairwise([*args, ""])
        if a.partition("=")[0] == "--ckpt_path"
    ]
    if not paths or files or any(arg.partition("=")[0] == "--model" for arg in args):
        return
    check_file(paths[-1])
    raise UserError(
        f"{paths[-1]} has no config.yaml of its run, ../config.yaml from where it lies. Name the "
        "configuration: --config FILE."
    )


def check_numbers(values: Any, key: str = "") -> None:
    """Refuse numbers that are not finite, anywhere in a configuration.

    Args:
        values: Dictionaries, lists and plain values.
        key: Dotted key that leads to them.
    """
    if isinstance(values, float) and not math.isfinite(values):
        raise UserError(f"{key} is {values}; give a finite number.")
    if isinstance(values, dict):
        for name, value in values.items():
            check_numbers(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list | tuple):
        for i, value in enumerate(values):
            check_numbers(value, f"{key}[{i}]")


def check_trainer(trainer: dict[str, Any]) -> None:
    """Refuse devices, strategies and intervals that Lightning refuses in its own words.

    Args:
        trainer: Arguments of the trainer.
    """
    if trainer["accelerator"] in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator is {trainer['accelerator']}, and torch sees no GPU here. Give "
            "--trainer.accelerator cpu, or leave it at auto; semsynth doctor says what is here."
        )
    devices = trainer["devices"]
    words = [part.strip() for part in str(devices).split(",")]
    plain = isinstance(devices, list) or devices == "auto" or all(w.isdigit() for w in words)
    if not (plain or str(devices) == "-1") or devices in (0, "0", []):
        raise UserError(
            f"trainer.devices is {devices!r}; give a number of at least 1, GPUs as [0, 1], or auto."
        )
    strategy, known = trainer["strategy"], ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in known:
        raise UserError(
            f"trainer.strategy is {strategy!r}, which is unknown{meant(strategy, known)} Leave it "
            "at auto, which chooses one that can train the method."
        )
    for name in ("val_check_interval", "check_val_every_n_epoch"):
        require_positive(**{f"trainer.{name}": trainer[name]})


@contextmanager
def explained(checkpoint: str | None) -> Iterator[None]:
    """Say what Lightning and torch find while a run starts, in terms of the configuration.

    Args:
        checkpoint: The checkpoint that the run takes, for the message.
    """
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
