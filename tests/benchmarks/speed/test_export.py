from pathlib import Path

import pytest

from benchmarks.speed import export


def test_the_loop_that_is_timed_gives_the_labels_of_the_export(tmp_path: Path) -> None:
    source = export.build_source("cpu")
    export.ours(source, 6, tmp_path / "ours")
    export.loop(source, 6, tmp_path / "loop")
    assert export.share_of_equal_pixels(tmp_path / "ours/train", tmp_path / "loop") > 0.999


def test_the_ratio_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    export.main(["--device", "cpu", "--num", "4", "--repetitions", "1"])
    assert "ratio" in capsys.readouterr().out
