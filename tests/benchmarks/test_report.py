import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import report
from benchmarks.results import comparable_groups
from semsynth.images import save_png
from semsynth.protocol import ProtocolError

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


def measured(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    """The rows with a protocol, which differs for the last that has scores."""
    protocol = {"split": "test", "num_images": 128, "metrics": {}, "versions": {"torch": "2.11"}}
    scored = [row for row in rows if "scores" in row]
    others = [row | {"protocol": protocol} for row in scored[:-1]]
    return [*others, scored[-1] | {"protocol": protocol | changes}]


def test_rows_of_another_protocol_are_not_ranked_with_the_rest(
    rows: list[dict[str, Any]],
) -> None:
    with pytest.raises(ProtocolError, match=r"of a and b .*num_images is 128 and 500"):
        report.best(measured(rows, num_images=500), "fd_toy")
    assert report.best(measured(rows), "fd_toy") == 1.0


def test_rows_of_another_protocol_stand_in_a_table_of_their_own(
    rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = measured(rows, num_images=500)
    page = report.html_tables(mixed)
    assert page.count("<table>") == 2
    assert "first table: num_images is 128 and 500" in page
    assert page.count('class="best"') == 4  # each table has its own
    report.print_tables(mixed)
    assert "num_images is 128 and 500" in capsys.readouterr().out


def test_versions_are_named_and_do_not_part_rows(rows: list[dict[str, Any]]) -> None:
    page = report.html_tables(measured(rows, versions={"torch": "2.12"}))
    assert page.count("<table>") == 1
    assert "torch 2.11 and 2.12" in page


def test_runs_that_failed_go_with_the_first_table(rows: list[dict[str, Any]]) -> None:
    groups = comparable_groups([*measured(rows, split="val"), rows[-1]])
    assert [[row["run"] for row in group] for group in groups] == [["oracle", "a", "c"], ["b"]]
