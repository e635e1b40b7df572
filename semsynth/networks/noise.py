"""Random numbers that depend only on a seed per sample.

A counter-based generator (splitmix64, Steele et al., OOPSLA 2014) instead of ``torch.Generator``:
all samples of a batch are drawn at once, on any device, and sample ``i`` gets the same numbers
whatever the batch and the number of processes.
"""

import math

import torch
from torch import Tensor


def _wrapped(unsigned: int) -> int:
    """The int64 with the same 64 bits as an unsigned number."""
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


_GOLDEN = _wrapped(0x9E3779B97F4A7C15)
_MIX_1 = _wrapped(0xBF58476D1CE4E5B9)
_MIX_2 = _wrapped(0x94D049BB133111EB)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift; torch's shift of int64 is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def hash_int64(x: Tensor) -> Tensor:
    """Mix the bits of int64 numbers: distinct inputs give distinct, random-looking outputs."""
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def sample_seed(seed: int, index: Tensor, draw: int = 0) -> Tensor:
    """Seeds (B,), int64, of samples, from the run's seed, their ids (B,) and the draw."""
    run = hash_int64(torch.tensor(seed * _GOLDEN % (1 << 63), device=index.device))
    return hash_int64(hash_int64(run + index * _GOLDEN) + _wrapped(draw * _GOLDEN % (1 << 64)))


def seeded_uniform(seed: Tensor, *shape: int) -> Tensor:
    """Uniform noise (B, *shape) in (0, 1), float64, one stream for each of the seeds (B,)."""
    counter = torch.arange(1, math.prod(shape) + 1, device=seed.device) * _GOLDEN
    bits = hash_int64(hash_int64(seed)[:, None] + counter)  # (B, prod(shape))
    return _shift_right(bits, 11).double().add(0.5).mul(2.0**-53).view(-1, *shape)


def seeded_normal(seed: Tensor, *shape: int) -> Tensor:
    """Standard-normal noise (B, *shape), float32, one stream for each of the seeds (B,)."""
    radius, angle = seeded_uniform(seed, 2, *shape).unbind(1)
    normal = (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()  # Box-Muller
    return normal.float()
