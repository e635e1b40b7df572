import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import report
from semsynth.images import save_png

MODEL = "model:\n  class_path: semsynth.methods.CLVAE\n"


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    run_dir = tmp_path / "runs" / "a"
    save_png(torch.zeros(3, 4, 4, dtype=torch.uint8), run_dir / "images/test_samples.png")
    (run_dir / "config.yaml").write_text(MODEL)
    logs = run_dir / "logs" / "fit"
    logs.mkdir(parents=True)
    (logs / "metrics.csv").write_text("epoch,step,train/kl,val/fd_toy\n0,9,1.5,\n0,19,1.25,3.0\n")
    base = {"run_dir": str(run_dir), "seconds": 1.0}
    of_class = {"varied": ["model.class_wise"]} | base
    first = {"run": "a", "parameters": {"model.class_wise": True, "seed": 1}} | of_class
    second = {"run": "b", "parameters": {"model.class_wise": False, "seed": 1}} | of_class
    failed = {"run": "c", "parameters": {"model.lr": 9}, "varied": ["model.lr"]} | base
    oracle = {"run": "oracle", "oracle": True, "scores": {"fd_toy": 0.5, "MeanIoU": 0.99}}
    return [
        oracle,
        first | {"scores": {"fd_toy": 2.0, "MeanIoU": 0.5}},
        second | {"scores": {"fd_toy": 1.0, "MeanIoU": 0.25}},
        failed | {"error": "exit code 1: <boom>"},
    ]


@pytest.fixture
def page(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "results.jsonl").write_text(lines)
    return report.write(tmp_path, title="test").read_text()


def test_rows_are_called_after_what_they_go_without(rows: list[dict[str, Any]]) -> None:
    labels = [report.label(row) for row in rows]
    assert labels == [
        "oracle (renderer)",
        "CLVAE full",
        "CLVAE without class-wise",
        "CLVAE full, lr=9",
    ]


def test_oracle_stands_last_and_does_not_compete(page: str) -> None:
    assert page.index("oracle (renderer)") > page.index("without class-wise")
    assert '<td class="best">1.0000</td>' in page
    assert '<td class="best">0.5000</td>' in page
    assert page.count('class="best"') == 2


def test_failed_run_shows_its_reason_escaped(page: str) -> None:
    assert "&lt;boom&gt;" in page
    assert 'tr class="failed"' in page


def test_page_needs_no_other_file(page: str, tmp_path: Path) -> None:
    picture = (tmp_path / "runs/a/images/test_samples.png").read_bytes()
    assert base64.b64encode(picture).decode() in page
    assert "http" not in page
    assert 'alt="training curves"' in page


def test_log_is_read_by_name_and_step(tmp_path: Path, page: str) -> None:
    log = report.read_log(tmp_path / "runs/a")
    assert log == {"train/kl": [(9, 1.5), (19, 1.25)], "val/fd_toy": [(19, 3.0)]}


def test_last_row_of_a_run_counts(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    again = rows[1] | {"scores": {"fd_toy": 9.0}}
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, again])
    (tmp_path / "results.jsonl").write_text(lines)
    by_name = {row["run"]: row for row in report.read_rows(tmp_path)}
    assert by_name["a"]["scores"] == {"fd_toy": 9.0}
