"""Forms of one computation, which must agree before they are timed in alternating blocks."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

Form = Callable[[], list[Tensor]]
BLOCK_SECONDS = 0.2
VARIANTS = ("eager", "bf16", "compile", "bf16+compile")


class Comparison(NamedTuple):
    """Forms of one computation, ours first, and how far their results may differ."""

    title: str
    forms: Mapping[str, Form]
    tolerance: float = 0.01


Case = Callable[[str, str], Iterator[Comparison]]
"""Takes a device and one of ``VARIANTS``."""


def check(forms: Mapping[str, Form], tolerance: float) -> None:
    """Refuse forms whose results differ from the first one's by more than a share of the norm."""
    results = {name: form() for name, form in forms.items()}
    (ours, expected), *others = results.items()
    for name, result in others:
        for a, b in zip(result, expected, strict=True):
            error = float((a - b).norm() / b.norm())
            if not error <= tolerance:
                raise AssertionError(f"{name} differs from {ours} by {error:.2g} of its size.")


def measure(forms: Mapping[str, Form], blocks: int) -> dict[str, float]:
    """Median milliseconds of each form; blocks alternate, so that a disturbance meets all."""
    threads = torch.get_num_threads()
    times: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(blocks):
        for name, form in forms.items():
            timer = Timer("form()", globals={"form": form}, num_threads=threads)
            times[name] += timer.blocked_autorange(min_run_time=BLOCK_SECONDS).times
    return {name: 1000 * median(values) for name, values in times.items()}


def precision(device: str, variant: str) -> torch.autocast:
    """Autocast as a variant wants it."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled="bf16" in variant)
