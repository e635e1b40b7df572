"""Activation checkpointing: recompute a block in the backward pass."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint


def run_again(block: nn.Module, *inputs: Any) -> Any:
    """Call a block, and again in the backward pass.

    The second call does not update running statistics and singular vectors, so that both calls use
    the same weights and a step counts once.
    """
    if not block.training:
        return block(*inputs)

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), without_memory(block)

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def without_memory(block: nn.Module) -> Iterator[None]:
    """Disable updates of a block's batch and spectral normalisation."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    spectral = [m for m in block.modules() if isinstance(m, parametrize.ParametrizationList)]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    for weight in spectral:
        weight[0].eval()
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
        for weight in spectral:
            weight[0].train()
