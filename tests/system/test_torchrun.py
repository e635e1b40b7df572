"""Two nodes of two processes each, on this machine, started by torchrun."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import free_port
from tests.helpers.tiny import METHODS, environment

ROOT = Path(__file__).parents[2]
TINY = [
    *METHODS["clvae"],
    "--trainer.devices=2",
    "--trainer.num_nodes=2",
    "--trainer.accelerator=cpu",
    "--trainer.val_check_interval=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.logger=false",
    "--data.train_size=32",
    "--data.val_size=4",
    "--data.test_size=5",
    "--data.batch_size=2",
    "--evaluation.num_samples=2",
    "--images.num_samples=1",
]


def fit_on_two_nodes(run_dir: Path, *args: str) -> None:
    """Train with one torchrun for each node."""
    settings = environment() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=2"]
    command += ["--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    words = ["-m", "semsynth", "fit", *TINY, f"--run_dir={run_dir}", "--ckpt_path=last", *args]
    nodes = [
        subprocess.Popen([*command, f"--node_rank={n}", *words], cwd=ROOT, env=settings)
        for n in range(2)
    ]
    assert [node.wait(timeout=600) for node in nodes] == [0, 0]


@pytest.mark.slow
def test_two_nodes_train_and_go_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    run_dir, whole = tmp_path / "run", tmp_path / "whole"
    fit_on_two_nodes(run_dir, "--trainer.max_steps=2", "--test_after_fit=false")
    fit_on_two_nodes(run_dir, "--trainer.max_steps=6")
    fit_on_two_nodes(whole, "--trainer.max_steps=6")
    ends = [torch.load(d / "checkpoints/last.ckpt", weights_only=True) for d in (run_dir, whole)]
    assert [end["global_step"] for end in ends] == [6, 6]
    torch.testing.assert_close(*(end["state_dict"] for end in ends), atol=1e-6, rtol=1e-5)
    cost = json.loads((run_dir / "scores/cost.json").read_text())
    assert (cost["num_processes"], cost["images"]) == (4, 6 * 8)
    record = json.loads((run_dir / "scores/test.json").read_text())
    assert record["protocol"]["num_images"] == 5  # each once, over four processes
