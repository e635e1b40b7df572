from pathlib import Path

import pytest

from benchmarks import oracle

SMALL = {"train_size": 24, "val_size": 8, "test_size": 24, "eval_batch_size": 8, "image_size": 32}


def config(world: str) -> dict[str, object]:
    metrics = [
        {"class_path": "semsynth.metrics.FrechetDistance", "init_args": {"extractor": world}},
        {"class_path": "semsynth.metrics.Diversity", "init_args": {"features": world}},
        {"class_path": "semsynth.metrics.LayoutFidelity", "init_args": {"segmenter": world}},
    ]
    name = {"toy_street": "ToyStreet", "toy_portrait": "ToyPortrait"}[world]
    return {
        "data": {"class_path": f"semsynth.data.{name}", "init_args": SMALL},
        "evaluation": {"metrics": metrics, "num_samples": 2, "seed": 0},
    }


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return oracle.measure(config("toy_street"), tmp_path_factory.mktemp("oracle"))


def test_oracle_keeps_the_layout_and_varies_the_appearance(scores: dict[str, float]) -> None:
    assert scores["MeanIoU"] > 0.6  # at half the size that the segmenter was trained for
    assert scores["MeanIoU"] == pytest.approx(scores["MeanIoU_real"], abs=0.1)
    assert scores["diversity_toy"] > 0.05
    assert 0 < scores["fd_toy"] < 10


def test_oracle_exists_for_toy_data_alone() -> None:
    assert oracle.exists_for(config("toy_street"))
    assert not oracle.exists_for({"data": {"class_path": "semsynth.data.ADE20K"}})


def test_oracle_writes_its_scores_like_a_run(tmp_path: Path) -> None:
    oracle.measure(config("toy_street"), tmp_path)
    assert (tmp_path / "scores" / "test.json").is_file()
