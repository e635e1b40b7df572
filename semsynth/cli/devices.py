"""The device that a command computes on."""

import torch

from semsynth.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """A device by name, or the first GPU if there is one, else the CPU.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None to choose.

    Raises:
        UserError: There is no such device here; the message lists those that there are.
    """
    gpus = torch.cuda.device_count()
    devices = ["cpu", *["cuda"] * (gpus > 0), *(f"cuda:{i}" for i in range(gpus))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    if name is None:
        name = "cuda" if gpus else "cpu"
    if name not in devices:
        raise UserError(f"There is no device {name!r} here; there are {', '.join(devices)}.")
    return torch.device(name)
