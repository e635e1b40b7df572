"""A sweep through a real SLURM, one job of which is interrupted."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.slurm import cluster

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing() or "none"),
]
FLAGS = {
    "trainer.devices": 2,
    "trainer.max_steps": 40,
    "trainer.val_check_interval": 10,
    "trainer.accelerator": "cpu",
    "trainer.logger": False,
    "trainer.enable_progress_bar": False,
    "model.channels": 2,
    "model.spade_channels": 4,
    "model.discriminator_channels": 4,
    "model.perceptual_weight": 0,
    "data.image_size": 32,
    "data.train_size": 24,
    "data.val_size": 2,
    "data.test_size": 6,
    "data.batch_size": 2,
    "images.num_samples": 1,
    "evaluation.num_samples": 2,
}


@pytest.fixture
def slurm_conf(tmp_path: Path) -> Iterator[Path]:
    """A cluster that runs while the test does."""
    directory = tmp_path / "slurm"
    try:
        yield cluster.start(directory)
    finally:
        cluster.stop(directory)


def environment(**more: str) -> dict[str, str]:
    own = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return os.environ | own | more


def start_runner(sweep: Path, output: Path, *words: str, **more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.run", str(sweep), "--output", str(output), *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment(**more))


def rows(output: Path) -> dict[str, dict[str, Any]]:
    lines = (output / "results.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines if '"oracle": true' not in line]
    assert len({row["run"] for row in found}) == len(found)
    return {row["run"]: row for row in found}


def test_four_runs_of_two_processes_give_the_rows_of_the_local_backend(
    slurm_conf: Path, tmp_path: Path
) -> None:
    sweep, on_slurm, local = tmp_path / "four.yaml", tmp_path / "on_slurm", tmp_path / "local"
    parameters: dict[str, Any] = {key: {"value": value} for key, value in FLAGS.items()}
    parameters["seed_everything"] = {"values": [1, 2, 3, 4]}
    config = "experiments/clvae/toy_street.yaml"
    command = ["${env}", "semsynth", "fit", "--config", config, "${args}"]
    text = {"method": "grid", "command": command, "parameters": parameters}
    sweep.write_text(yaml.safe_dump(text))
    options = ("--backend", "slurm", "--slurm", "time=20", "mem=1500")
    conf = {"SLURM_CONF": str(slurm_conf)}
    runner = start_runner(sweep, on_slurm, *options, **conf)
    first = interrupt_one(on_slurm, conf)
    assert runner.wait(timeout=1200) == 0
    assert start_runner(sweep, local).wait(timeout=600) == 0
    assert "Interrupted at step" in "".join(
        file.read_text() for file in on_slurm.glob("slurm/*_log.*")
    )
    ours, theirs = rows(on_slurm), rows(local)
    assert ours.keys() == theirs.keys()
    assert first in ours
    assert len(ours) == 4
    for name, row in ours.items():
        assert row["scores"] == pytest.approx(theirs[name]["scores"], rel=1e-6)
        assert row["protocol"] == theirs[name]["protocol"]
        assert row["cost"]["num_processes"] == 2
        assert row["cost"]["images"] == 40 * 4


def interrupt_one(output: Path, conf: dict[str, str]) -> str:
    """Send SIGUSR1 to the first job that has saved a checkpoint; return the name of its run."""
    for _ in range(3000):
        if found := sorted(output.glob("runs/*/checkpoints/step_*.ckpt")):
            run_dir = found[0].parents[1]
            words = ["scancel", "--signal=USR1", (run_dir / "job").read_text()]
            subprocess.run(words, env=os.environ | conf, check=True)
            return run_dir.name
        time.sleep(0.1)
    raise AssertionError("no job has saved a checkpoint")
