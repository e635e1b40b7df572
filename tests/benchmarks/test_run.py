import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
import yaml

from benchmarks import run
from benchmarks.results import code_of, package_digest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, pathlib, sys
args = dict(a[2:].split("=", 1) for a in sys.argv[1:])
folder = pathlib.Path(args["run_dir"])
(folder / "scores").mkdir(parents=True, exist_ok=True)
with open(folder.parent / "calls", "a") as file: file.write(args["value"])
if args["value"] == "2": sys.exit("value 2 is bad")
scores = {"scores": {"MeanIoU": int(args["value"])}, "seconds_per_image": 0.5}
(folder / "scores" / "test.json").write_text(json.dumps(scores))
"""


def write_sweep(directory: Path, values: list[int], script: str = SCRIPT) -> Path:
    program = directory / "program.py"
    program.write_text(script)
    file = directory / "mine.yaml"
    command = [sys.executable, str(program), "${args}"]
    sweep = {"method": "grid", "command": command, "parameters": {"value": {"values": values}}}
    file.write_text(yaml.safe_dump(sweep))
    return file


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Three runs, of which the second fails."""
    return write_sweep(tmp_path, [1, 2, 3])


def rows(output: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def test_every_point_has_a_row_and_a_failure_does_not_stop_the_rest(
    sweep: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert run.main([str(sweep), "--output", str(output)]) == 1
    scores = [row.get("scores") for row in rows(output)]
    assert scores == [{"MeanIoU": 1}, None, {"MeanIoU": 3}]
    assert rows(output)[0]["cost"] == {"seconds_per_image": 0.5}
    assert (rows(output)[1]["error"], rows(output)[1]["exit_code"]) == ("value 2 is bad", 1)
    assert (output / "report.html").is_file()


@pytest.mark.parametrize(("values", "said"), [([2], "All 1 runs"), ([1, 2], "1 of 2 runs")])
def test_failed_runs_are_counted_at_the_end(
    values: list[int], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.main([str(write_sweep(tmp_path, values)), "--output", str(tmp_path / "out")])
    output = " ".join(capsys.readouterr().out.split())
    assert f"{said} failed. The first: value 2 is bad" in output


def test_line_that_was_cut_off_is_written_again_without_a_run(sweep: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run.main([str(sweep), "--output", str(output)])
    results = output / "results.jsonl"
    whole = rows(output)
    results.write_text(results.read_text()[:-10])
    run.main([str(sweep), "--output", str(output)])
    assert (output / "runs" / "calls").read_text() == "1232"
    assert rows(output)[-1] == whole[-1]
    assert [row["run"] for row in rows(output)] == [whole[i]["run"] for i in (0, 1, 1, 2)]


def test_run_again_it_repeats_only_what_failed_and_csv_has_the_last_rows(
    sweep: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    for _ in range(2):
        run.main([str(sweep), "--output", str(output)])
    assert (output / "runs" / "calls").read_text() == "1232"
    with (output / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["value"], row["MeanIoU"]) for row in table] == [("1", "1"), ("2", ""), ("3", "3")]
    assert [row["error"] for row in table] == ["", "value 2 is bad", ""]
    assert all(row["sweep"] == "mine" for row in table)


def test_budget_stops_the_run_in_progress_and_the_next_one_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out"
    patient = "import signal, time; signal.signal(signal.SIGUSR1, lambda *_: exit(75))\n"
    sweep = write_sweep(tmp_path, [1, 3], f"{patient}print('begun', flush=True); time.sleep(600)")
    seconds = 5  # of a busy machine
    assert run.main([str(sweep), "--output", str(output), "--hours", str(seconds / 3600)]) == 1
    assert not (output / "results.jsonl").exists()
    assert len(list(output.glob("runs/*/run.json"))) == 1  # the second was not begun
    assert run.main([str(write_sweep(tmp_path, [1, 3])), "--output", str(output)]) == 0
    assert [row["scores"] for row in rows(output)] == [{"MeanIoU": 1}, {"MeanIoU": 3}]


@pytest.mark.parametrize("hours", [["--hours", "0"], ["--hours", "2", "--backend", "slurm"]])
def test_budget_that_cannot_be_is_refused(sweep: Path, hours: list[str]) -> None:
    with pytest.raises(SystemExit, match="--hours must be above 0"):
        run.main([str(sweep), *hours])


def test_refresh_repeats_only_runs_whose_code_has_changed_and_the_report_marks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    sweep = write_sweep(tmp_path, [1, 3], SCRIPT.replace('"2"', '"3"'))  # the second fails
    monkeypatch.setattr("benchmarks.attempt.package_digest", lambda: "old")
    run.main([str(sweep), "--output", str(output)])
    monkeypatch.undo()
    run.main([str(write_sweep(tmp_path, [1, 3])), "--output", str(output)])
    assert "(--refresh repeats them): run (value=1)" in " ".join(capsys.readouterr().out.split())
    run.main([str(sweep), "--output", str(output), "--refresh"])
    assert (output / "runs" / "calls").read_text() == "1331"
    repeated, now = rows(output)[0], rows(output)[-1]
    assert repeated["run"] == now["run"]
    assert repeated["code"] != now["code"]
    assert "repeats them" not in capsys.readouterr().out


def test_digest_of_the_code_depends_on_methods_and_experiment_but_not_on_the_studio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.results.PACKAGE", tmp_path / "package")
    monkeypatch.setattr("benchmarks.results.OTHER_ROOMS", ("studio",))
    found = []
    for place in ("methods/a.py", "studio/b.py", "experiment.yaml", "methods/a.py"):
        file = tmp_path / ("package" if "/" in place else "") / place
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as opened:
            opened.write("x = 1\n")
        parameters = {"config": f"{tmp_path / 'experiment.yaml'} --model.lr 1"}
        found.append(code_of(parameters, package_digest()))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_what_runs_print_is_in_their_log_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(tmp_path, [1], "print('wandb: Tip')\n" + SCRIPT)
    run.main([str(sweep), "--output", str(tmp_path / "out")])
    assert "Tip" not in capsys.readouterr().out
    (log,) = tmp_path.glob("out/runs/*/output.log")
    assert log.read_text() == "wandb: Tip\n"


def start_runner(
    sweep: Path, output: Path, *options: str, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.run", str(sweep), f"--output={output}", *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=stdout)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300  # a busy machine takes its time
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def comparable(output: Path) -> list[dict[str, object]]:
    """Rows without what a clock says and where they are."""
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "started", "run_dir")}
        for row in rows(output)
    ]


def test_runner_that_is_killed_three_times_leaves_the_table_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    sweep = write_sweep(tmp_path, [1, 3, 4, 5], "import time; time.sleep(0.3)" + SCRIPT)
    output, calm = tmp_path / "out", tmp_path / "calm"
    luck = random.Random(0)
    for _ in range(3):
        runner = start_runner(sweep, output)
        time.sleep(luck.uniform(0.8, 2.0))
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    assert start_runner(sweep, output).wait() == 0
    assert start_runner(sweep, calm).wait() == 0
    assert comparable(output) == comparable(calm)
    assert len(comparable(calm)) == 4
    assert (output / "runs/calls").read_text() == "1345"  # what was under way was not started twice


def test_runner_that_is_told_to_stop_stops_its_run_and_goes_on_later(tmp_path: Path) -> None:
    output = tmp_path / "out"
    endless = "import time; print('begun', flush=True); time.sleep(600)"
    runner = start_runner(write_sweep(tmp_path, [1], endless), output)
    wait_for(lambda: any(log.read_text() for log in output.glob("runs/*/output.log")))
    runner.terminate()
    assert runner.wait(timeout=300) == 143
    assert not (output / "results.jsonl").exists()
    assert run.main([str(write_sweep(tmp_path, [1])), "--output", str(output)]) == 0


UNTIL_TOLD = """
import pathlib, sys, time
print("begun", flush=True)
while not (pathlib.Path(sys.argv[0]).parent / "go").exists(): time.sleep(0.05)
"""


def test_runner_that_waits_for_a_run_can_be_stopped_and_the_run_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out"
    sweep = write_sweep(tmp_path, [1], UNTIL_TOLD + SCRIPT)
    first = start_runner(sweep, output)
    wait_for(lambda: any(log.read_text() for log in output.glob("runs/*/output.log")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start_runner(sweep, output, stdout=subprocess.PIPE)
    assert second.stdout is not None
    assert any(b"waiting for it" in line for line in second.stdout)
    second.terminate()
    second.communicate(timeout=300)
    assert second.returncode == 143
    assert not (output / "results.jsonl").exists()
    (tmp_path / "go").touch()
    assert run.main([str(sweep), "--output", str(output)]) == 0
    assert (output / "runs/calls").read_text() == "1"


TOGETHER = """
import time
(others := pathlib.Path(sys.argv[0]).parent / "begun").mkdir(exist_ok=True)
(others / args["value"]).touch()
end = time.time() + 300
while len(list(others.iterdir())) < 3 and time.time() < end: time.sleep(0.05)
if time.time() > end: sys.exit("alone")
"""


def test_jobs_run_at_a_time_and_each_has_its_row(tmp_path: Path) -> None:
    head, tail = SCRIPT.split("folder =")
    sweep = write_sweep(tmp_path, [1, 3, 4], head + TOGETHER + "folder =" + tail)
    output = tmp_path / "out"
    assert run.main([str(sweep), "--output", str(output), "--jobs", "3"]) == 0
    found = [(row["parameters"], row["scores"]) for row in rows(output)]
    assert all(({"value": v}, {"MeanIoU": v}) in found for v in (1, 3, 4))
    assert len(found) == 3


def test_runner_that_is_told_to_stop_stops_all_jobs_and_records_none(tmp_path: Path) -> None:
    output = tmp_path / "out"
    endless = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    sweep = write_sweep(tmp_path, [1, 3, 4], endless)
    runner = start_runner(sweep, output, "--jobs=2")

    def logs() -> list[str]:
        return [text for log in output.glob("runs/*/output.log") if (text := log.read_text())]

    wait_for(lambda: len(logs()) == 2)
    runner.terminate()
    assert runner.wait(timeout=300) == 143
    assert not (output / "results.jsonl").exists()
    assert len(logs()) == 2  # the third was not begun
    for pid in logs():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--jobs", "2", "--backend", "slurm"]])
def test_jobs_that_cannot_be_are_refused(sweep: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit, match="--jobs must be at least 1"):
        run.main([str(sweep), *options])


def test_second_runner_in_a_directory_is_refused(sweep: Path, tmp_path: Path) -> None:
    lock = filelock.FileLock(tmp_path / "runner.lock")
    with lock, pytest.raises(SystemExit, match="Another runner is at work"):
        run.main([str(sweep), "--output", str(tmp_path)])


def test_sweep_is_created_on_the_server_of_wandb(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    created: list[object] = []

    def create(sweep: object, project: str) -> str:
        created.append(sweep)
        return "abc"

    monkeypatch.setattr("wandb.sweep", create)
    assert run.main([str(sweep), "--backend", "wandb"]) == 0
    assert created == [yaml.safe_load(sweep.read_text())]
    assert "wandb agent abc" in capsys.readouterr().out


def test_missing_sweep_file_and_output_that_is_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.yaml cannot be read"):
        run.main([str(tmp_path / "gone.yaml")])
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"file is a file, not a directory\. Change --output"):
        run.main(["benchmarks/suites/toy.yaml", "--output", str(tmp_path / "file")])
