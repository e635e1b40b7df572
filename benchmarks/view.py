"""The live view of the runner: which run of how many, its step and speed, the time left."""

import json
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import mean

from rich.console import Console, Group
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from benchmarks.results import Row, read_rows
from benchmarks.rows import experiment, label
from benchmarks.sweep import Point

SHIPPED = Path(__file__).parent / "results"


class View:
    """Runs in progress and the time left; what has ended is printed above it.

    Args:
        points: All runs of the sweep.
        sweep: Its name; runs are expected to take as long as in the results that ship.
        rows: Runs that have ended before.
        jobs: Runs at a time.
        console: Where to print.
    """

    def __init__(
        self, points: Sequence[Point], sweep: str, rows: Sequence[Row], jobs: int, console: Console
    ) -> None:
        done = {row["run"]: row for row in rows if "scores" in row}
        self.points, self.sweep, self.jobs, self.console = points, sweep, jobs, console
        self.took = [row for row in done.values() if "seconds" in row]
        self.waiting = {point.name for point in points if point.name not in done}
        self.running: dict[str, tuple[Point, Path, float]] = {}

    def begin(self, point: Point, run_dir: Path) -> None:
        """A run begins."""
        self.running[point.name] = (point, run_dir, time.time())
        if not self.console.is_terminal:
            self.console.print(f"{self._number(point)} {escape(name_of(point))} begins")

    def end(self, point: Point, row: Row) -> None:
        """A run has ended."""
        del self.running[point.name]
        self.waiting.discard(point.name)
        self.took.append(row)
        end = f"[green]done[/], {spoken(row['seconds'])}"
        if "scores" not in row:
            end = f"[red]failed[/]: {escape(row['error'])}\nSee {escape(row['run_dir'])}/output.log"
        self.console.print(
            f"{self._number(point)} {escape(name_of(point))}: {end}", highlight=False
        )

    def __rich__(self) -> Group:
        """The runs in progress, and how many are done."""
        table = Table.grid(padding=(0, 2))
        for point, run_dir, begun in list(self.running.values()):
            words = progress(run_dir, begun)
            table.add_row(self._number(point), escape(name_of(point)), *words)
        done = len(self.points) - len(self.waiting)
        bar = ProgressBar(len(self.points), done, width=24)
        left = self.seconds_left()
        end = Table.grid(padding=(0, 2))
        time_left = f", about {spoken(left)} left" if left else ""
        end.add_row(bar, f"{done} of {len(self.points)} runs{time_left}")
        return Group(table, end)

    def seconds_left(self) -> float:
        """Seconds until all have ended; 0 if nothing is known of such runs."""
        now = time.time()
        spent = {name: now - begun for name, (_, _, begun) in list(self.running.items())}
        waiting = [point for point in self.points if point.name in self.waiting]
        left = [max(self._expected(p) - spent.get(p.name, 0), 0) for p in waiting]
        return sum(left) / min(self.jobs, max(len(left), 1))

    def _expected(self, point: Point) -> float:
        """Seconds of a run, as others of its experiment here, else as shipped ones at our pace."""
        about = experiment({"parameters": point.parameters})
        own = [row["seconds"] for row in self.took if experiment(row) == about]
        if own:
            return mean(own)
        known = shipped(self.sweep)
        ratios = [r["seconds"] / known[experiment(r)] for r in self.took if experiment(r) in known]
        return known.get(about, 0) * (mean(ratios) if ratios else 1)

    def _number(self, point: Point) -> str:
        return f"{self.points.index(point) + 1:>2}/{len(self.points)}"


def name_of(point: Point) -> str:
    """What a run is called: its row's name, and its seeds if they vary."""
    words = [
        f"{key.split('.')[-1].replace('seed_everything', 'seed')} {point.parameters[key]}"
        for key in point.varied
        if "seed" in key
    ]
    return ", ".join([label({"run": point.name, "parameters": point.parameters}), *words])


def progress(run_dir: Path, begun: float) -> tuple[str, str]:
    """Step and speed of a run, from what it leaves every few seconds."""
    file = run_dir / "scores/cost.json"
    if not file.is_file() or file.stat().st_mtime < begun:
        return "preparing", spoken(time.time() - begun)
    cost = json.loads(file.read_text())
    step, steps = cost.get("step", 0), cost.get("steps")
    if step == steps:
        return "testing", spoken(time.time() - begun)
    return (
        f"step {step}{f' of {steps}' if steps else ''}",
        f"{cost['images_per_second']:.3g} images/s",
    )


@cache
def shipped(sweep: str) -> dict[str, float]:
    """Seconds of a run by experiment, in the results that ship."""
    file = SHIPPED / f"{sweep}.jsonl"
    rows = [row for row in read_rows(file) if "seconds" in row]
    return {
        e: mean(r["seconds"] for r in rows if experiment(r) == e) for e in map(experiment, rows)
    }


def spoken(seconds: float) -> str:
    """``42 s``, ``9 min`` or ``2.5 h``."""
    if seconds < 99:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"
