"""What many tests of networks and methods do: train quietly, compare compiled with eager."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor


def quiet_trainer(folder: Path, **options: Any) -> Trainer:
    """A trainer on one CPU process that writes and prints nothing."""
    defaults: dict[str, Any] = {
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "limit_val_batches": 0,
        "default_root_dir": folder,
    }
    return Trainer(accelerator="cpu", **(defaults | options))


def left_alone(method: LightningModule, train: Callable[..., Any], **options: Any) -> set[str]:
    """Names of the parameters that a training does not change."""
    before = {k: p.detach().clone() for k, p in method.named_parameters()}
    train(method, **options)
    return {k for k, p in method.named_parameters() if torch.equal(p, before[k])}


def tensors_of(outputs: Any) -> list[Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(outputs, Tensor):
        return [outputs]
    return [t for x in outputs for t in tensors_of(x)] if isinstance(outputs, Iterable) else []


def assert_compiles(function: Any, *inputs: Any, atol: float = 1e-5, rtol: float = 1e-4) -> None:
    """See that a function compiles as one graph, with the same outputs and gradients as eagerly."""
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    results = []
    for each in (function, compiled):
        given = [
            x.detach().clone().requires_grad_()
            if isinstance(x, Tensor) and x.is_floating_point()
            else x
            for x in inputs
        ]
        outputs = tensors_of(each(*given))
        total = torch.stack([t.double().square().sum() for t in outputs]).sum()
        leaves = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
        gradients = torch.autograd.grad(total, leaves) if total.requires_grad else ()
        results.append([*outputs, *gradients])
    torch.testing.assert_close(*results[::-1], atol=atol, rtol=rtol)
