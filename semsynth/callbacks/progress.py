"""Progress of a run in one line of the terminal."""

import math
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

TENTHS = 10
LOSSES = 2  # that fit into 80 columns


class Rate(ProgressColumn):
    """Steps per second, or seconds per step."""

    def render(self, task: Task) -> Text:
        """A few characters."""
        speed = task.finished_speed or task.speed or 0
        if speed >= 1 or not speed:
            return Text(f"{speed:.1f}/s" if speed else "")
        return Text(f"{1 / speed:.1f} s each")


class ProgressLine(ProgressBar):
    """Counts steps, then batches of a validation or test, in one line of 80 columns.

    Where the output is no terminal, a line is printed at each tenth of the way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(stderr=True)
        self.shown = True
        self.line: Progress | None = None
        self.task = TaskID(0)
        self.name, self.note = "", ""
        self.total, self.first, self.tenth = 0.0, 0, 0
        self.started = time.monotonic()

    def disable(self) -> None:
        """Show nothing: Lightning's wish for all processes but the first."""
        self.shown = False

    def enable(self) -> None:
        """Show progress."""
        self.shown = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the step that the training resumes at."""
        self._begin("train", total_steps(trainer), trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Show the step and the losses."""
        values = self.get_metrics(trainer, pl_module)
        losses = [
            f"{name.removeprefix('train/')} {value:.4g}"
            for name, value in values.items()
            if isinstance(value, int | float)  # the version of a logger is text
        ]
        self.note = " ".join(losses[:LOSSES])
        self._advance(trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished line."""
        self._end()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, out: Any, batch: Any, i: int, *_: Any
    ) -> None:
        """Say how far the validation is, in the line of the training if there is one."""
        total = sum(trainer.num_val_batches)
        if trainer.state.fn != "fit":
            self._count("validate", i, total)
        elif self.line is not None:
            self.line.update(self.task, note=f"validating {i + 1}/{total}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to the training, or the end of ``semsynth validate``."""
        if trainer.state.fn == "validate":
            self._end()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, out: Any, batch: Any, i: int, *_: Any
    ) -> None:
        """Count a batch."""
        self._count("test", i, sum(trainer.num_test_batches))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished line."""
        self._end()

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, out: Any, batch: Any, i: int, *_: Any
    ) -> None:
        """Count a batch."""
        self._count("predict", i, sum(trainer.num_predict_batches))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished line."""
        self._end()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the line as it is and give the cursor back."""
        self._end()

    def _count(self, name: str, index: int, total: float) -> None:
        if index == 0:
            self._begin(name, total, 0)
        self._advance(index + 1)

    def _begin(self, name: str, total: float, done: int) -> None:
        self._end()
        self.name, self.total, self.note = name, total, ""
        self.first, self.tenth, self.started = done, self._tenths(done), time.monotonic()
        if self.shown and self.console.is_terminal:
            self.line = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                MofNCompleteColumn(),
                Rate(),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )
            bound = None if math.isinf(total) else total
            self.task = self.line.add_task(name, total=bound, completed=done, note="")
            self.line.start()

    def _advance(self, done: int) -> None:
        if self.line is not None:
            self.line.update(self.task, completed=done, note=self.note)
        elif self.shown and done > self.first and not math.isinf(self.total):
            if (tenth := self._tenths(done)) > self.tenth:
                spent = time.monotonic() - self.started
                left = spent / (done - self.first) * (self.total - done)
                about = f"{self.name} {done}/{int(self.total)}, {duration(left)} left"
                self.console.print(f"{about} {self.note}".rstrip(), soft_wrap=True)
            self.tenth = tenth

    def _tenths(self, done: int) -> int:
        return int(TENTHS * done / max(self.total, 1))

    def _end(self) -> None:
        if self.line is not None:
            self.line.update(self.task, note=self.note)
            self.line.stop()
            self.line = None


def total_steps(trainer: Trainer) -> float:
    """Steps of a whole training; infinite if only time ends it."""
    bounds = [float(trainer.max_steps)] if trainer.max_steps > 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches = trainer.num_training_batches / trainer.accumulate_grad_batches
        bounds.append(trainer.max_epochs * math.ceil(batches))
    return min(bounds, default=math.inf)


def duration(seconds: float) -> str:
    """``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
