"""Medians of functions that are called in turns, so that what disturbs one disturbs all."""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

Function = Callable[[], list[Tensor]]


def interleaved(functions: dict[str, Function], repetitions: int, device: str) -> list[float]:
    """Median milliseconds of each function, called in turns after one call to warm up."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(repetitions + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            if repetition:
                times[name].append(1000 * (time.perf_counter() - start))
    return [median(values) for values in times.values()]
