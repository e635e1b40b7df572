from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import oracle


def small_config() -> dict[str, Any]:
    return oracle.config_of("toy_street", test_size=24, num_samples=2, image_size=32)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    directory = tmp_path_factory.mktemp("oracle")
    scores = oracle.measure(small_config(), directory)
    assert (directory / "scores" / "test.json").is_file()  # like those of a run
    return scores


def test_oracle_keeps_the_layout_and_varies_the_appearance(scores: dict[str, float]) -> None:
    assert scores["MeanIoU"] > 0.6  # at half the size that the segmenter was trained for
    assert scores["MeanIoU"] == pytest.approx(scores["MeanIoU_real"], abs=0.1)
    assert scores["diversity_toy"] > 0.05
    assert 0.05 < scores["top1_toy"] < 1  # an appearance is not found by chance


def test_distances_of_the_oracle_are_those_of_two_sets_of_real_images(
    scores: dict[str, float],
) -> None:
    assert 0 < scores["fd_toy"] < 10
    assert abs(scores["kd_toy"]) < 0.01
    assert scores["precision_toy"] > 0.7
    assert scores["coverage_toy"] > 0.7


def test_oracle_redraws_single_classes(tmp_path: Path) -> None:
    config = small_config()
    metric = {"class_path": "semsynth.metrics.ClassDiversity"}
    metric["init_args"] = {"features": "toy_street", "num_classes": 8}  # type: ignore[assignment]
    config["evaluation"]["metrics"] = [metric]
    scores = oracle.measure(config, tmp_path)
    assert scores["mCSD_toy_spatial"] > 0.05
    assert scores["mOCD_toy_spatial"] < 0.2 * scores["mCSD_toy_spatial"]


def test_oracle_exists_for_toy_data_alone() -> None:
    assert oracle.exists_for(small_config())
    assert not oracle.exists_for({"data": {"class_path": "semsynth.data.ADE20K"}})


def test_command_prints_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    oracle.main("toy_street", test_size=12, num_samples=2, image_size=32)
    printed = capsys.readouterr().out
    for name in ("fd_toy", "kd_toy", "recall_toy", "diversity_toy", "top1_toy", "MeanIoU"):
        assert name in printed
