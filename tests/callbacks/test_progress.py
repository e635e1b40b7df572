import math
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from semsynth.callbacks.progress import ProgressLine, duration, total_steps


class Losses(ProgressLine):
    """Without a trainer's own metrics."""

    def get_metrics(self, *_: Any) -> dict[str, Any]:
        return {"v_num": "ab12", "train/loss_g": 12.34567, "train/loss_d": 0.1, "train/kl": 9.0}


def train(line: ProgressLine, steps: int, first: int = 0, until: int | None = None) -> None:
    trainer: Any = SimpleNamespace(max_steps=steps, max_epochs=-1, global_step=first)
    line.on_train_start(trainer, None)  # type: ignore[arg-type]
    for step in range(first + 1, (until or steps) + 1):
        trainer.global_step = step
        line.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    line.on_train_end(trainer, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_fits_80_columns(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    line = Losses()
    line.console = Console(stderr=True, width=80, force_terminal=terminal, no_color=True)
    train(line, 123_456, first=123_400)
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert any("123456/123456" in text and "loss_g 12.35 loss_d 0.1" in text for text in lines)
    assert all(len(text) <= 80 for text in lines)


def test_log_file_gets_a_line_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    line = Losses()
    train(line, 200, first=70, until=170)
    lines = capsys.readouterr().err.splitlines()
    assert [text.split(",")[0] for text in lines] == [f"train {n}/200" for n in range(80, 171, 20)]


def test_other_processes_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line = Losses()
    line.disable()
    train(line, 20)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("max_steps", "max_epochs", "total"),
    [(30, -1, 30), (-1, 2, 14), (10, 2, 10), (30, None, 30), (-1, -1, math.inf)],
)
def test_total_is_where_the_training_ends(
    max_steps: int, max_epochs: int | None, total: float
) -> None:
    trainer: Any = SimpleNamespace(
        max_steps=max_steps,
        max_epochs=max_epochs,
        num_training_batches=13,
        accumulate_grad_batches=2,
    )
    assert total_steps(trainer) == total


def test_durations_read_like_a_clock() -> None:
    assert [duration(s) for s in (7.4, 754, 3723)] == ["0:07", "12:34", "1:02:03"]
