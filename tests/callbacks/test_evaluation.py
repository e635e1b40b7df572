"""What the Evaluation callback promises beyond scores: protocol, cache, missing weights, ranks."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from semsynth import metrics, weights
from semsynth.callbacks import Evaluation, PredictionWriter
from semsynth.data import ToyStreet
from semsynth.data.base import Split
from semsynth.methods.base import Batch, Method
from semsynth.metrics import ImageMetric
from semsynth.metrics.census import Census
from semsynth.metrics.protocol import differences
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import seeded_normal
from tests.conftest import free_port
from tests.helpers.checks import quiet_trainer
from tests.helpers.killed import START

SIZE = 32
TOY = "toy_street"
pytestmark = pytest.mark.usefixtures("weights_folder")


class Blur(Method):
    """Adds noise by seed to the real images; its one weight is trained towards nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(1, 1)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        noise = seeded_normal(batch["seed"], 3, SIZE, SIZE)
        return (batch["image"].float() + 0.2 * noise).clamp(-1, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.generator.weight.square().sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Rebuild(Blur):
    """Rebuilds images, a little brighter."""

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Tensor]:
        return {"reconstruction": batch["image"] + 0.1} if "reconstruction" in names else {}


class Repaint(Blur):
    """Gives the third class another grey in each image."""

    def supply(self, batch: Batch, names: Collection[str]) -> Batch:
        grey = torch.linspace(-1, 1, batch["num_samples"]).view(1, -1, 1, 1, 1)
        inside = (batch["mask"] == 2)[:, None, None]
        images = torch.where(inside, grey, batch["image"][:, None])
        known = {"varied": images, "varied_level0": images}
        third = torch.full_like(batch["index"], 2)
        return {k: v for k, v in known.items() if k in names} | {"varied_class": third}


def toy(eval_batch_size: int = 4, **sizes: Any) -> ToyStreet:
    sizes = {"train_size": 4, "val_size": 5, "test_size": 7} | sizes
    return ToyStreet(image_size=SIZE, eval_batch_size=eval_batch_size, **sizes)


def trainer(directory: Path, *callbacks: Any, **options: Any) -> Trainer:
    whole = {"limit_val_batches": None, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    return quiet_trainer(directory, callbacks=list(callbacks), **(whole | options))


def all_toy_metrics() -> list[ImageMetric]:
    return [
        metrics.FrechetDistance(TOY),
        metrics.KernelDistance(TOY),
        metrics.PrecisionRecall(TOY, k=1, k_density=2),
        metrics.Diversity(TOY),
        metrics.Top1Similarity(TOY),
        metrics.LayoutFidelity(TOY),
    ]


def measure(directory: Path, evaluation: Evaluation, data: ToyStreet, **options: Any) -> Evaluation:
    trainer(directory, evaluation, **options).test(Blur(), data, verbose=False)
    return evaluation


def printed(scores: dict[str, float]) -> dict[str, str]:
    return {name: f"{score:.4f}" for name, score in scores.items()}


def test_protocol_stands_beside_the_scores(tmp_path: Path) -> None:
    evaluation = measure(tmp_path, Evaluation(all_toy_metrics(), num_samples=3, seed=5), toy())
    record = json.loads((tmp_path / "scores/test.json").read_text())
    card = record["protocol"]
    assert card == evaluation.protocol
    assert {k: card[k] for k in ("split", "data", "image_size", "num_images", "seed")} == {
        "split": "test",
        "data": "ToyStreet",
        "image_size": [SIZE, SIZE],
        "num_images": 7,
        "seed": 5,
    }
    assert card["metrics"].keys() == record["scores"].keys()
    assert 0 < record["seconds_per_image"] < 10
    assert card["metrics"]["fd_toy"]["extractor"] == TOY
    assert len(card["metrics"]["fd_toy"]["sha256"]) == 64
    assert card["metrics"]["fd_toy"]["num_samples"] == 1
    assert card["metrics"]["diversity_toy"]["num_samples"] == 3
    assert "torch" in card["versions"]
    assert not any("Used" in caveat for caveat in card["caveats"])


@pytest.mark.parametrize(
    ("changed", "key"),
    [({"test_size": 6}, "num_images"), ({"seed": 1}, "real_images"), ({"seed": 1}, "masks")],
)
def test_other_real_images_have_another_protocol(
    tmp_path: Path, changed: dict[str, int], key: str
) -> None:
    cards = [
        measure(tmp_path, Evaluation(all_toy_metrics(), 2), data).protocol
        for data in (toy(), toy(**changed))
    ]
    assert key in differences(*cards)
    assert differences(cards[0], cards[0]) == {}


def test_census_does_not_depend_on_order_and_batches() -> None:
    images = torch.rand(6, 3, 8, 8) * 2 - 1
    whole, parts, other = Census(), Census(), Census()
    whole.update(fake=images, image=images)
    for i in (4, 2, 0, 1, 3, 5):
        parts.update(fake=images[i : i + 1], image=images[i : i + 1])
    other.update(fake=images, image=images.flip(3))
    assert whole.compute() == parts.compute()
    assert whole.compute()["real_images"] != other.compute()["real_images"]


def test_batches_of_any_size_give_the_digits_that_are_printed(tmp_path: Path) -> None:
    results = [
        measure(tmp_path, Evaluation(all_toy_metrics(), 3, cache_real=False), toy(size))
        for size in (1, 3, 7)
    ]
    assert printed(results[0].scores) == printed(results[1].scores) == printed(results[2].scores)
    assert results[0].protocol == results[1].protocol == results[2].protocol


def measure_as_one_of_two(rank: int, directory: Path, port: int) -> None:
    launched = {"LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    os.environ.update({k: str(v) for k, v in (launched | {"MASTER_PORT": port}).items()})
    evaluation = Evaluation(all_toy_metrics(), 3)
    for size in (2, 3):  # the second time with statistics from the cache
        measure(directory, evaluation, toy(size), devices=2, strategy="ddp")


def test_two_processes_give_the_digits_of_one(tmp_path: Path) -> None:
    arguments = (tmp_path, free_port())
    start_processes(measure_as_one_of_two, arguments, nprocs=2, start_method=START)
    by_two = json.loads((tmp_path / "scores/test.json").read_text())
    alone = measure(tmp_path, Evaluation(all_toy_metrics(), 3, cache_real=False), toy(7))
    assert printed(by_two["scores"]) == printed(alone.scores)
    assert by_two["protocol"] == alone.protocol


class Counting(metrics.FrechetDistance):
    """Counts the real images that went through the network."""

    def update(self, image: Tensor, fake: Tensor) -> None:
        super().update(image, fake)
        self.seen = getattr(self, "seen", 0) + (len(image) if self.loaded_real is None else 0)


def test_real_images_are_measured_once(tmp_path: Path) -> None:
    first, second, third = (Counting(TOY) for _ in range(3))
    without = measure(tmp_path, Evaluation([first], cache_real=False), toy())
    assert not (tmp_path / "statistics").exists()
    fresh = measure(tmp_path, Evaluation([second]), toy())
    cached = measure(tmp_path, Evaluation([third]), toy(2))
    assert (first.seen, second.seen, third.seen) == (7, 7, 0)
    assert printed(without.scores) == printed(fresh.scores) == printed(cached.scores)
    assert len(list((tmp_path / "statistics").iterdir())) == 1


def test_each_split_has_its_own_statistics(tmp_path: Path) -> None:
    metric = Counting(TOY)
    runner = trainer(tmp_path, Evaluation([metric]), max_epochs=3)
    runner.fit(Blur(), toy())
    assert metric.seen == 5  # three validations of five images
    runner.test(Blur(), toy(), verbose=False)
    assert metric.seen == 5 + 7


class Retouched(ToyStreet):
    """Its third image can change without its files changing."""

    shade = 0.0

    def dataset(self, split: Split) -> Any:
        plain = super().dataset(split)
        samples = [plain[i] for i in range(len(plain))]
        samples[2]["image"] = samples[2]["image"].clamp(max=1 - self.shade)
        return samples


def test_statistics_of_changed_images_are_thrown_away(tmp_path: Path) -> None:
    def retouched(shade: float) -> Retouched:
        data = Retouched(image_size=SIZE, test_size=8)
        data.shade = shade
        return data

    measure(tmp_path, Evaluation([Counting(TOY)]), retouched(0.0))
    with pytest.warns(
        UserWarning, match=r"do not match the real images of the test split: the data have changed"
    ):
        stale = measure(tmp_path, Evaluation([Counting(TOY)]), retouched(1.0))
    assert stale.scores == {}
    again = measure(tmp_path, Evaluation([Counting(TOY)]), retouched(1.0))
    plain = measure(tmp_path, Evaluation([Counting(TOY)], cache_real=False), retouched(1.0))
    assert printed(again.scores) == printed(plain.scores)


def test_part_of_a_split_is_not_kept(tmp_path: Path) -> None:
    part = measure(tmp_path, Evaluation([Counting(TOY)]), toy(), limit_test_batches=1)
    assert not (tmp_path / "statistics").exists()
    assert part.protocol["caveats"][-1] == "Used 4 of 7 images."


def test_damaged_statistics_are_written_anew(tmp_path: Path) -> None:
    first = measure(tmp_path, Evaluation([Counting(TOY)]), toy())
    (file,) = (tmp_path / "statistics").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    metric = Counting(TOY)
    with pytest.warns(UserWarning, match="damaged"):
        second = measure(tmp_path, Evaluation([metric]), toy())
    assert metric.seen == 7
    assert printed(first.scores) == printed(second.scores)


def inception() -> ImageMetric:
    return metrics.FrechetDistance("inception-clean")


def alexnet() -> ImageMetric:
    return metrics.Diversity("alex")


def toy_distance() -> ImageMetric:
    return metrics.FrechetDistance(TOY)


def test_every_missing_file_is_named_before_training(tmp_path: Path) -> None:
    method = Blur()
    before = method.generator.weight.clone()
    evaluation = Evaluation([inception, alexnet, toy_distance])
    with pytest.raises(weights.MissingWeightsError) as error:
        trainer(tmp_path, evaluation, max_steps=1).fit(method, toy())
    assert error.value.names == ("inception", "alexnet")
    files = "inception-2015-12-05.pt", "alexnet-owt-7be5be79.pth"
    for part in (*files, str(tmp_path), "weights fetch", "on_missing_weights skip"):
        assert part in str(error.value)
    assert torch.equal(method.generator.weight, before)


def test_metric_without_weights_is_skipped_with_a_warning(tmp_path: Path) -> None:
    evaluation = Evaluation([inception, toy_distance], on_missing_weights="skip")
    with pytest.warns(UserWarning, match=r"without a metric.*inception-2015-12-05"):
        trainer(tmp_path, evaluation, max_steps=1).fit(Blur(), toy())
    assert list(evaluation.scores) == ["fd_toy"]


def test_prediction_builds_no_metric(tmp_path: Path) -> None:
    writer = PredictionWriter(str(tmp_path / "pictures"), num_samples=1)
    runner = trainer(tmp_path, Evaluation([inception]), writer)
    runner.predict(Blur(), toy(), return_predictions=False)
    assert len(list((tmp_path / "pictures").iterdir())) == 7


def test_extractors_are_in_no_checkpoint_and_keep_their_precision(tmp_path: Path) -> None:
    evaluation = Evaluation(all_toy_metrics(), 2)
    method = Blur()
    runner = trainer(tmp_path, evaluation, max_epochs=1, precision="bf16-true")
    runner.fit(method, toy())
    runner.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["state_dict"].keys() == {"generator.weight", "generator.bias"}
    assert not any("Evaluation" in name for name in saved["callbacks"])
    assert sum(p.numel() for p in method.parameters()) == 2
    assert method.generator.weight.dtype == torch.bfloat16
    kinds = {p.dtype for metric in evaluation.metrics for p in metric.parameters()}
    assert kinds == {torch.float32}


class Looks(ImageMetric):
    """Keeps the images that it is given."""

    def update(self, fake: Tensor, image: Tensor) -> None:
        self.seen = [*getattr(self, "seen", []), fake, image]

    def compute(self) -> dict[str, Tensor]:
        return {"none": torch.zeros(())}


def test_images_are_measured_as_files_keep_them(tmp_path: Path) -> None:
    measure(tmp_path, Evaluation([looks := Looks()]), toy())
    for images in looks.seen:
        levels = (images + 1) * 127.5
        assert (levels - levels.round()).abs().max() < 1e-4
        assert images.abs().max() <= 1


def test_diversity_by_class_redraws_a_class_at_each_level(tmp_path: Path) -> None:
    evaluation = Evaluation([metrics.ClassDiversity(TOY, 8, num_levels=1)], num_samples=3)
    trainer(tmp_path, evaluation).test(Repaint(), toy(), verbose=False)
    scores = evaluation.scores
    assert scores["mCSD_toy_spatial"] == scores["mCSD_toy_spatial_level0"]
    assert 0 < scores["mOCD_toy_spatial"] < scores["mCSD_toy_spatial"]


def test_method_supplies_what_metrics_ask_for(tmp_path: Path) -> None:
    wanted = [metrics.Reconstruction(TOY), metrics.ReconstructionFrechet(TOY)]
    evaluation = Evaluation(wanted, num_samples=1)
    trainer(tmp_path, evaluation).test(Rebuild(), toy(), verbose=False)
    assert 0 < evaluation.scores["reconstruction_mse"] < 0.0105  # 0.1 in steps of 8 bits
    assert evaluation.scores["reconstruction_fd_toy"] > 0
    with pytest.raises(ValueError, match="needs reconstruction, which Blur and its data do not"):
        measure(tmp_path, Evaluation([metrics.Reconstruction(TOY)]), toy())


@pytest.mark.parametrize(
    ("method", "metric", "missing"),
    [
        (Blur(), metrics.ClassDiversity(TOY, 8), "varied, varied_class"),
        (Repaint(), metrics.ClassDiversity(TOY, 8, num_levels=2), "varied_level1"),
        (Blur(), metrics.TrackingAccuracy(), "edited_landmarks, landmarks, marks"),
    ],
)
def test_what_a_method_does_not_supply_is_named(
    tmp_path: Path, method: Method, metric: ImageMetric, missing: str
) -> None:
    message = (
        rf"needs {missing}, which {type(method).__name__} and .* data provides .*image, .*mask"
    )
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, Evaluation([metric])).test(method, toy(), verbose=False)


class Nudge(Blur):
    """Moves noise, drawn by seed, two pixels to the right, where three were asked for."""

    def supply(self, batch: Batch, names: Collection[str]) -> Batch:
        image = seeded_normal(batch["seed"], 3, SIZE, SIZE).clamp(-1, 1)
        edited = image.roll(2, dims=3)
        points = torch.full((len(image), 1, 2), SIZE / 2)
        motions = torch.tensor([3.0, 0.0, 0.0]).expand(len(image), 1, 3)
        marks = Marks(points, motions, torch.ones(len(image), 1, dtype=torch.bool))
        landmarks = {"landmarks": image, "edited_landmarks": edited}
        return {"image": image, "fake": edited, "marks": marks} | landmarks


def test_metrics_of_edits_see_what_the_method_edited(tmp_path: Path) -> None:
    evaluation = Evaluation([metrics.TrackingAccuracy(), looks := Looks()])
    trainer(tmp_path, evaluation).test(Nudge(), toy(), verbose=False)
    assert evaluation.scores["drag_error_features"] == pytest.approx(1, abs=0.01)
    assert evaluation.scores["drag_gain_features"] == pytest.approx(2 / 3, abs=0.01)
    assert torch.equal(looks.seen[0], looks.seen[1].roll(2, dims=3))  # edited, and as it was
