"""Networks that measure: frozen, in full precision, identified by the hash of their file."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from semsynth.weights import cards


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """No gradients, no autocast, no TF32: a score must not depend on how the model is trained."""
    operations = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]  # made at run time
    precisions = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "ieee"
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = precision


class Frozen(nn.Module):
    """A network that stays in eval mode, whatever the model around it does."""

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)


def file_protocol(file: Path) -> dict[str, Any]:
    """Name and hash of a file of weights, and its package, if any, for a protocol card."""
    status = file.stat()
    protocol = {"file": file.name, "sha256": _sha256(file, status.st_mtime_ns, status.st_size)}
    if file.suffix == ".safetensors" and file.with_suffix(".json").is_file():
        protocol |= {k: v for k, v in cards.read_card(file).items() if k == "source"}
    return protocol


@lru_cache
def _sha256(file: Path, modified: int, size: int) -> str:
    """Hash of a file; read again only when its time or size has changed."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
