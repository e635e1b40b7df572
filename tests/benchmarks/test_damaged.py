"""A damaged result is set aside in one line, and its run is done again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import report, run
from benchmarks.results import read_results
from tests.benchmarks.test_run import write_sweep

Damage = Callable[[Path], object]


def row_with(**changes: object) -> Damage:
    """Change values of the first row; a value of ... removes it."""

    def change(output: Path) -> None:
        file = output / "results.jsonl"
        first, *rest = file.read_text().splitlines()
        row = json.loads(first) | changes
        row = {key: value for key, value in row.items() if value is not ...}
        file.write_text("\n".join([json.dumps(row), *rest]) + "\n")

    return change


def first_line(line: bytes) -> Damage:
    """Replace the first row."""

    def replace(output: Path) -> None:
        file = output / "results.jsonl"
        rest = file.read_bytes().split(b"\n", 1)[1]
        file.write_bytes(line + b"\n" + rest)

    return replace


def file_of_run(name: str, content: bytes) -> Damage:
    """Replace a file of the first run, whose row is lost too."""

    def replace(output: Path) -> None:
        row = json.loads((output / "results.jsonl").read_text().splitlines()[0])
        (Path(row["run_dir"]) / name).write_bytes(content)
        first_line(b"")(output)

    return replace


ROWS: dict[str, Damage] = {
    "a list": first_line(b"[1, 2]"),
    "a number": first_line(b"3"),
    "null": first_line(b"null"),
    "cut off": first_line(b'{"run": "a"'),
    "no UTF-8": first_line(b'{"run": "\xff\xfe"}'),
    "zeros": first_line(bytes(64)),
    "nested deeply": first_line(b"[" * 20_000),
    "empty object": first_line(b"{}"),
    "no run": row_with(run=...),
    "run of a wrong type": row_with(run=["a"]),
    "no parameters": row_with(parameters=...),
    "varied without its parameter": row_with(varied=["gone"]),
    "no varied": row_with(varied=...),
    "scores of a wrong type": row_with(scores=[1]),
    "a score of a wrong type": row_with(scores={"MeanIoU": "x"}),
    "neither scores nor error": row_with(scores=...),
    "cost of a wrong type": row_with(cost=3),
    "protocol of a wrong type": row_with(protocol="x"),
}
FILES: dict[str, Damage] = {
    "run.json cut off": file_of_run("run.json", b'{"started": 17'),
    "run.json of wrong types": file_of_run("run.json", b'{"started": "x", "commit": 3}'),
    "run.json is a list": file_of_run("run.json", b"[]"),
    "test.json cut off": file_of_run("scores/test.json", b'{"scores": {"Mean'),
    "test.json is empty": file_of_run("scores/test.json", b""),
    "test.json of wrong types": file_of_run("scores/test.json", b'{"scores": 3}'),
    "config.yaml of a wrong type": file_of_run("config.yaml", b"- 1\n"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sweep of two runs, and the output that it left."""
    place = tmp_path_factory.mktemp("finished")
    sweep, output = write_sweep(place, [1, 3]), place / "out"
    assert run.main([str(sweep), "--output", str(output)]) == 0
    return sweep, output


@pytest.mark.parametrize("kind", [*ROWS, *FILES])
def test_damaged_result_is_made_again(
    kind: str,
    finished: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report, "write", lambda output, title: report.page(read_results(output)))
    sweep, output = finished
    kept = output.with_name("kept")
    shutil.copytree(output, kept)
    try:
        (ROWS | FILES)[kind](output)
        assert run.main([str(sweep), "--output", str(output)]) == 0
        said = capsys.readouterr().out
        assert (f"Damaged rows: 1, moved to {output}/results.damaged.jsonl" in said) == (
            kind in ROWS
        )
        scores = {row["parameters"]["value"]: row["scores"] for row in read_results(output)}
        assert scores == {1: {"MeanIoU": 1}, 3: {"MeanIoU": 3}}
        calls = (output / "runs/calls").read_text()
        assert calls == ("13" if kind in ROWS else "131"), said
    finally:
        shutil.rmtree(output)
        kept.rename(output)


@pytest.mark.parametrize("kind", ROWS)
def test_report_leaves_a_damaged_row_out(kind: str, finished: tuple[Path, Path]) -> None:
    _, output = finished
    whole = (output / "results.jsonl").read_bytes()
    try:
        ROWS[kind](output)
        assert len(read_results(output)) == 1
        assert "MeanIoU" in report.markdown(read_results(output))
    finally:
        (output / "results.jsonl").write_bytes(whole)
