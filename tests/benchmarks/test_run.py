import json
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks import run

SCRIPT = """
import json, pathlib, sys
args = dict(a[2:].split("=", 1) for a in sys.argv[1:])
folder = pathlib.Path(args["run_dir"])
(folder / "scores").mkdir(parents=True, exist_ok=True)
with open(folder.parent / "calls", "a") as file: file.write(args["value"])
if args["value"] == "2": sys.exit(3)
scores = {"scores": {"MeanIoU": int(args["value"])}}
(folder / "scores" / "test.json").write_text(json.dumps(scores))
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    file = tmp_path / "mine.yaml"
    parameters = {"value": {"values": [1, 2, 3]}}
    command = [sys.executable, str(script), "${args}"]
    file.write_text(
        yaml.safe_dump({"method": "grid", "command": command, "parameters": parameters})
    )
    return file


def rows(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def test_every_point_has_a_row_and_a_failure_does_not_stop_the_rest(
    sweep: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run.main([str(sweep), "--output", str(output)]) == 1
    scores = [row.get("scores") for row in rows(output)]
    assert scores == [{"MeanIoU": 1}, None, {"MeanIoU": 3}]
    assert str(rows(output)[1]["error"]).startswith("exit code 3")
    assert (output / "report.html").is_file()


def test_run_again_it_repeats_only_what_failed(sweep: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run.main([str(sweep), "--output", str(output)])
    run.main([str(sweep), "--output", str(output)])
    assert (output / "runs" / "calls").read_text() == "1232"


def test_line_that_was_cut_off_is_run_again(sweep: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run.main([str(sweep), "--output", str(output)])
    results = output / "results.jsonl"
    results.write_text(results.read_text()[:-10])
    run.main([str(sweep), "--output", str(output)])
    assert (output / "runs" / "calls").read_text() == "12323"
    last = results.read_text().splitlines()[-1]
    assert json.loads(last)["scores"] == {"MeanIoU": 3}


def test_missing_sweep_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.yaml cannot be read"):
        run.main([str(tmp_path / "gone.yaml")])
