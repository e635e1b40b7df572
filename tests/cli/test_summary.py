import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from semsynth.cli.summary import print_results, print_scores


def test_scores_of_real_photos_stand_beside_those_of_generated_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {"FID": 31.41592, "MeanIoU": 0.5, "MeanIoU_real": 0.91239, "IoU_class_0": 0.1}
    print_scores(scores, "test")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["test", "generated", "real", "photos"],
        ["FID", "31.42"],
        ["MeanIoU", "0.5", "0.9124"],
        ["and", "1", "more"],
    ]


def test_training_without_a_test_shows_the_scores_of_val_and_what_they_lack_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scores").mkdir()
    record = {"scores": {"FID": 2.5}, "protocol": {"caveats": ["Used 5 of 10 images."]}}
    (tmp_path / "scores/val.json").write_text(json.dumps(record))
    monkeypatch.chdir(tmp_path)
    trainer: Any = SimpleNamespace(checkpoint_callback=None, loggers=[])
    print_results("fit", trainer, tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "val  score",
        "FID    2.5",
        "Warning: Used 5 of 10 images.",
        "scores     scores/val.json",
    ]
    print_results("test", trainer, tmp_path)
    assert capsys.readouterr().out == ""
