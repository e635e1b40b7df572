"""Time of the Fréchet distance against clean-fid's: ``python -m benchmarks.speed.frechet``.

Both get the same means and covariances of features like Inception's: correlated, not negative, with
a spectrum that falls. Each is the best of several runs in this process.
"""

import argparse
import time
from collections.abc import Callable

import torch
from cleanfid import fid
from rich.console import Console
from rich.table import Table
from torch import Tensor

from semsynth.metrics.frechet import frechet_distance

CASES = ((2048, 5000), (2048, 1000), (512, 2000))  # dimension and number of images


def features(num: int, dim: int, seed: int) -> Tensor:
    """Features (num, dim), float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=torch.Generator().manual_seed(9)) / dim**0.5
    scales = torch.logspace(0, -2, dim)
    return (
        (torch.randn(num, dim, generator=generator) * scales @ mixing + seed / 10).relu().double()
    )


def best_time(function: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest run, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    """Print times, their ratio and the difference of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    repeats = parser.parse_args().repeats
    title = f"Fréchet distance, {torch.get_num_threads()} thread(s)"
    table = Table("d", "N", "clean-fid s", "ours s", "ratio", "difference", title=title)
    for dim, num in CASES:
        a, b = features(num, dim, 1), features(num, dim, 2)
        moments = [(x.mean(dim=0), x.T.cov()) for x in (a, b)]
        arrays = [array.numpy() for moment in moments for array in moment]
        ours, value = best_time(lambda m=moments: frechet_distance(*m[0], *m[1]).item(), repeats)  # type: ignore[misc]  # lambda with default
        theirs, expected = best_time(lambda x=arrays: fid.frechet_distance(*x), repeats)  # type: ignore[misc]
        ratio, difference = theirs / ours, value - expected
        cells = (f"{theirs:.2f}", f"{ours:.2f}", f"{ratio:.1f}", f"{difference:.1e}")
        table.add_row(str(dim), str(num), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
