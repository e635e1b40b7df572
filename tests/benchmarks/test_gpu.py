import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from semsynth.images import save_mask, save_png
from semsynth.weights.cards import read_card, read_state

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.sh"
SETS = {"ccp": (14, (24, 16)), "camvid": (11, (24, 32)), "celeba64": (8, (16, 16))}


def write_data(root: Path) -> None:
    """The smallest folders that a training and a test take."""
    for name, (classes, size) in SETS.items():
        for split, count in (("train", 4), ("val", 2), ("test", 2)):
            for kind in ("images", "labels"):
                (root / name / split / kind).mkdir(parents=True)
            for i in range(count):
                image = torch.randint(256, (3, *size), dtype=torch.uint8)
                save_png(image, root / name / split / "images" / f"{i}.png")
                save_mask(torch.randint(classes, size), root / name / split / "labels" / f"{i}.png")


@pytest.mark.slow  # six trainings and their tests, each a process
def test_dry_form_runs_every_stage_and_packs_what_each_made(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    out = tmp_path / "out"
    own = {"PYTHON": sys.executable, "SEMSYNTH_DATA": str(tmp_path / "data")}
    own |= {"SEMSYNTH_HOME": str(tmp_path / "home")}
    subprocess.run([SCRIPT, "--dry", out], env=os.environ | own, check=True, timeout=900)
    log = (out / "log.txt").read_text()
    assert "failed" not in log, log
    for name in ("faces", "ccp", "camvid", "small"):
        with tarfile.open(out / f"{name}.tar") as archive:
            archive.extractall(out, filter="data")
        (weights,) = (out / name / "kept").glob("*.safetensors")
        card = read_card(weights)
        assert card["storage"] == "float16"
        assert read_state(weights)
        assert list((out / name / "images").glob("*.png"))
        if name != "faces":
            assert card["steps"] == 2
            assert card["command"].startswith("semsynth fit --config experiments/clvae/")
            assert card["data"]
    with tarfile.open(out / "rows.tar") as archive:
        archive.extractall(out, filter="data")
    lines = (out / "rows" / "results.jsonl").read_text().splitlines()
    rows = [yaml.safe_load(line) for line in lines]
    assert ["fd_toy" in row.get("scores", {}) for row in rows] == [True, True, True], rows
    assert [row.get("oracle") for row in rows] == [None, None, "photographs"]
    for row in rows[:2]:
        (sample, *_) = (out / "rows" / "runs" / row["run"] / "samples").rglob("*.png")
        assert Image.open(sample).size == (64, 96)


def test_stage_whose_data_are_missing_is_passed_over(tmp_path: Path) -> None:
    own = {"PYTHON": sys.executable, "SEMSYNTH_DATA": str(tmp_path), "STAGES": "ccp"}
    subprocess.run([SCRIPT, "--dry", tmp_path / "out"], env=os.environ | own, check=True)
    assert "ccp: passed over, there is no" in (tmp_path / "out" / "log.txt").read_text()


def test_without_a_budget_it_says_how_to_call_it() -> None:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "benchmarks/gpu.sh BUDGET_SECONDS OUT" in done.stderr
