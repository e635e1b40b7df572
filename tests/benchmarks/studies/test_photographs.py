from typing import Any

import pytest
import torch

from benchmarks.studies import photographs
from semsynth.data import Folder
from semsynth.images import save_mask, save_png
from semsynth.metrics import FrechetDistance, LayoutFidelity

SIZE = 32


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run on 12 photos that look alike, and 6 to test, each dark and bright in halves."""
    root = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 12), ("test", 6)):
        for i in range(count):
            image = torch.randint(256, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
            mask = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
            mask[: SIZE // 2] = 1
            for kind in ("images", "labels"):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
            save_png(image, root / split / "images" / f"{i:02}.png")
            save_mask(mask, root / split / "labels" / f"{i:02}.png")
    metrics = [
        {
            "class_path": "semsynth.metrics.FrechetDistance",
            "init_args": {"extractor": "toy_street"},
        },
        {"class_path": "semsynth.metrics.LayoutFidelity", "init_args": {"segmenter": "toy_street"}},
        {"class_path": "semsynth.metrics.Diversity", "init_args": {"features": "toy_street"}},
    ]
    data = {"root": str(root), "num_classes": 8, "image_size": SIZE, "eval_batch_size": 4}
    return {
        "data": {"class_path": "semsynth.data.Folder", "init_args": data},
        "evaluation": {"metrics": metrics, "seed": 0},
    }


@pytest.fixture(scope="module")
def scores(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return photographs.measure(config, tmp_path_factory.mktemp("out"))


def test_layout_fidelity_is_that_of_the_test_photos(
    scores: dict[str, float], config: dict[str, Any]
) -> None:
    assert scores["MeanIoU"] == scores["MeanIoU_real"]
    metric = LayoutFidelity("toy_street")
    for batch in batches(config, "test"):
        metric.update(fake=batch["image"], image=batch["image"], mask=batch["mask"])
    assert scores["MeanIoU"] == pytest.approx(float(metric.compute()["MeanIoU"]))


def test_frechet_distance_is_that_of_every_other_training_photo(
    scores: dict[str, float], config: dict[str, Any]
) -> None:
    metric = FrechetDistance("toy_street")
    real, train = (torch.cat([b["image"] for b in batches(config, s)]) for s in ("test", "train"))
    ids = [0, 2, 4, 7, 9, 11]  # six of twelve, from the first to the last
    metric.update(image=real, fake=train[ids])
    assert scores["fd_toy"] == pytest.approx(float(metric.compute()["fd_toy"]), rel=1e-6)
    assert scores["fd_toy"] > 0


def test_what_photographs_cannot_say_is_left_out(scores: dict[str, float]) -> None:
    assert not [name for name in scores if "diversity" in name]


def test_photographs_exist_for_small_sets_of_files_alone(config: dict[str, Any]) -> None:
    assert photographs.exist_for(config)
    assert not photographs.exist_for({"data": {"class_path": "semsynth.data.ADE20K"}})
    assert not photographs.exist_for({"data": {"class_path": "semsynth.data.ToyStreet"}})


def batches(config: dict[str, Any], split: str) -> list[dict[str, Any]]:
    data = Folder(**config["data"]["init_args"], flip=False, num_workers=0)
    data.setup("test")
    dataset: Any = data.dataset("test" if split == "test" else "train")
    items = [
        {k: v[None] for k, v in dataset[i].items() if k != "name"} for i in range(len(dataset))
    ]
    return [data.on_after_batch_transfer(item, 0) for item in items]
