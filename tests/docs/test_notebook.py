"""The notebook runs from top to bottom."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.documents import ROOT

SHORTER = {"max_steps=20": "max_steps=2", "test_size=16": "test_size=4", "range(5)": "range(2)"}


def test_notebook_trains_samples_measures_and_edits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs/tour.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            for long, short in SHORTER.items():
                source = source.replace(long, short)
            exec(source, names)
    assert names["trainer"].global_step == 2
    scores = json.loads(Path("outputs/notebook/scores/test.json").read_text())["scores"]
    assert scores == names["evaluation"].scores
    assert {"fd_toy", "diversity_toy", "MeanIoU", "IoU_road"} <= scores.keys()
    first, second, *_ = names["samples"]
    assert first.shape == names["batch"]["image"].shape
    assert (first - second).abs().mean() > 0.01
    (report,) = names["edit"].reports
    assert report.reached
