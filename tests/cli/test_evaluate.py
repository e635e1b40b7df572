"""``semsynth evaluate`` on folders of toy images that the tests draw."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from semsynth import metrics as all_metrics
from semsynth.callbacks import Evaluation, PredictionWriter
from semsynth.cli import main
from semsynth.data import ToyStreet
from semsynth.images import save_png, to_uint8
from semsynth.methods.base import Batch, Method
from semsynth.metrics.folders import by_number, find_samples
from tests.helpers.checks import quiet_trainer

NUM_MASKS, NUM_SAMPLES = 6, 3
METRICS = ["fd:toy_street", "kd:toy_street", "diversity:toy_street", "top1:toy_street", "layout"]


class Renderer(Method):
    """Draws the layouts of the test split with appearances that sample and draw decide."""

    def __init__(self, data: ToyStreet) -> None:
        super().__init__()
        self.data = data

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images = [
            self.data.render_like("test", index[None], int(seed) % (1 << 31))
            for index, seed in zip(batch["index"], batch["seed"], strict=True)
        ]
        return torch.cat(images)


@pytest.fixture(scope="module")
def data() -> ToyStreet:
    return ToyStreet(image_size=48, test_size=NUM_MASKS, eval_batch_size=4)


@pytest.fixture(scope="module")
def folders(data: ToyStreet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``real``, ``masks`` and ``fake``, whose files are what ``semsynth predict`` writes."""
    root = tmp_path_factory.mktemp("folders")
    data.setup("test")
    for batch in data.test_dataloader():
        for index, image, mask in zip(batch["index"], batch["image"], batch["mask"], strict=True):
            name = f"{index:06d}.png"
            save_png(to_uint8(image), root / "real" / name)
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask.byte().numpy()).save(root / "masks" / name)
    writer = PredictionWriter(str(root / "fake"), num_samples=NUM_SAMPLES, seed=0)
    trainer = quiet_trainer(root, callbacks=[writer])
    trainer.predict(Renderer(data), data, return_predictions=False)
    return root


def evaluate(root: Path, *args: str, metrics: Sequence[str] = METRICS) -> dict[str, Any]:
    paths = [f"--{name}={root / name}" for name in ("real", "fake", "masks")]
    output = root / "scores.json"
    named = ["--metrics", *metrics, "--segmenter=toy_street", f"--output={output}"]
    main(["evaluate", *paths, *named, "--device=cpu", *args])
    return json.loads(output.read_text())


@pytest.fixture
def root(folders: Path, tmp_path: Path) -> Path:
    """A copy of the folders."""
    for name in ("real", "masks", "fake"):
        shutil.copytree(folders / name, tmp_path / name)
    return tmp_path


def test_folders_get_the_scores_of_the_callback(
    folders: Path, data: ToyStreet, tmp_path: Path
) -> None:
    names = "FrechetDistance", "KernelDistance", "Diversity", "Top1Similarity", "LayoutFidelity"
    measured = [getattr(all_metrics, name)("toy_street") for name in names]
    evaluation = Evaluation(measured, num_samples=NUM_SAMPLES, seed=0)
    trainer = quiet_trainer(tmp_path, callbacks=[evaluation])
    trainer.test(Renderer(data), data, verbose=False)
    record = evaluate(folders)
    assert record["scores"].keys() == evaluation.scores.keys()
    for name, score in record["scores"].items():
        assert f"{score:.6f}" == f"{evaluation.scores[name]:.6f}", name
    assert record["protocol"]["metrics"] == evaluation.protocol["metrics"]
    for key in ("real_images", "masks", "num_images", "num_fakes", "image_size"):
        assert record["protocol"][key] == evaluation.protocol[key]


def test_caveats_of_scores_are_printed_and_stored(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(evaluate(root, metrics=["layout"])["protocol"]["caveats"]) == 0
    for file in list((root / "real").iterdir()):
        with Image.open(file) as image:
            image.resize((40, 36)).save(file.with_suffix(".jpg"))
        file.unlink()
    capsys.readouterr()
    few, formats, sizes, used = evaluate(root, metrics=["fd:toy_street"])["protocol"]["caveats"]
    assert "fd_toy of 6 generated and 6 real images: the covariances of 168 features" in few
    assert "rank 5 at most, and the distance is biased upwards" in few
    assert formats.startswith("Real images are JPEG, generated ones PNG:")
    assert sizes.startswith("Real images are 36x40, generated ones 48x48:")
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("Warning: ")] == [
        f"Warning: {line}" for line in (few, formats, sizes, used)
    ]


def test_batches_do_not_matter(folders: Path) -> None:
    first, second = (evaluate(folders, f"--batch_size={n}")["scores"] for n in (1, 5))
    for name, score in first.items():
        assert f"{score:.4f}" == f"{second[name]:.4f}"


def test_samples_in_folders_are_those_with_numbers(folders: Path, root: Path) -> None:
    for file in list((root / "fake").iterdir()):
        stem, number = file.stem.rsplit("_", 1)
        (root / "fake" / stem).mkdir(exist_ok=True)
        file.rename(root / "fake" / stem / f"{int(number)}.png")
    assert evaluate(root)["scores"] == evaluate(folders)["scores"]


def test_sets_may_differ_in_number_and_in_odd_sizes(root: Path) -> None:
    for i in range(3):
        file = root / "real" / f"{i:06d}.png"
        Image.open(file).resize((37 + 2 * i, 41)).save(root / "real" / f"other_{i}.png")
    record = evaluate(root, metrics=["fd:toy_street", "kd:toy_street"])
    assert record["protocol"]["num_images"] == NUM_MASKS + 3
    assert record["protocol"]["num_fakes"] == NUM_MASKS
    assert record["scores"]["fd_toy"] > 0


def test_pairs_of_odd_sizes_are_brought_to_the_size_of_the_sample(root: Path) -> None:
    for file in (root / "fake").iterdir():
        if file.stem.startswith("000000"):
            Image.open(file).resize((37, 41)).save(file)
    record = evaluate(root)
    assert record["protocol"]["image_size"] == "mixed"
    assert 0 < record["scores"]["MeanIoU"] < 1


def test_files_that_are_not_used_are_counted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in [*(root / "fake").glob("000000*"), *(root / "fake").glob("000001*")]:
        file.unlink()
    pairs = evaluate(root, metrics=["top1:toy_street", "layout"])
    left = f"Used {NUM_MASKS - 2} of {NUM_MASKS}"
    assert pairs["protocol"]["caveats"] == [f"{left} label maps.", f"{left} real images."]
    assert f"Warning: {left} label maps." in capsys.readouterr().err
    caveat = evaluate(root, metrics=["fd:toy_street"])["protocol"]["caveats"][-1]
    assert caveat.startswith(f"Used {NUM_MASKS - 2} of {NUM_SAMPLES * (NUM_MASKS - 2)} generated")


def test_label_ids_are_scored_by_a_known_map(root: Path) -> None:
    for file in (root / "masks").iterdir():  # road, sidewalk and building as labelIds
        ids = np.array([7, 8, 11], np.uint8)[np.array(Image.open(file)) % 3]
        Image.fromarray(ids).save(file)
    with pytest.raises(
        SystemExit, match=r"target must be in 0\.\.7.*give segmenter_map or mask_map"
    ):
        evaluate(root, metrics=["layout"])
    with pytest.raises(
        SystemExit, match="mask_map has 19 target classes, but the segmenter only 8"
    ):
        evaluate(root, "--mask_map=cityscapes_ids_to_train_ids", metrics=["layout"])
    with pytest.raises(SystemExit, match="Unknown class map 'street'"):
        evaluate(root, "--mask_map=street", metrics=["layout"])


def test_identical_folders_have_no_distance(root: Path) -> None:
    shutil.rmtree(root / "fake")
    shutil.copytree(root / "real", root / "fake")
    scores = evaluate(root, metrics=["fd:toy_street", "reconstruction:toy_street"])["scores"]
    assert scores["fd_toy"] == pytest.approx(0, abs=1e-9)
    assert scores["reconstruction_mse"] == 0


def test_missing_weights_stop_or_are_skipped(folders: Path, weights_folder: Path) -> None:
    named = ["fid", "diversity", "fd:toy_street"]
    with pytest.raises(SystemExit) as stopped:
        evaluate(folders, metrics=named)
    for part in ("weights fetch inception", "weights fetch alexnet", "--on_missing_weights skip"):
        assert part in str(stopped.value)
    record = evaluate(folders, "--on_missing_weights=skip", metrics=named)
    assert list(record["scores"]) == ["fd_toy"]


def test_file_named_after_no_mask_is_a_sample_of_its_own(tmp_path: Path) -> None:
    for name in ("a_0", "a_1", "b_0", "b_1"):
        save_png(torch.zeros(3, 4, 4, dtype=torch.uint8), tmp_path / f"{name}.png")
    samples = find_samples(tmp_path, {"a": Path("a.png")})
    assert {stem: len(files) for stem, files in samples.items()} == {"a": 2, "b_0": 1, "b_1": 1}


def test_single_folder_named_after_no_mask_is_the_folder_of_samples(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for name in "ab":
        Image.new("RGB", (4, 4)).save(tmp_path / "samples" / f"{name}.png")
    assert list(find_samples(tmp_path, {"a": tmp_path})) == ["a", "b"]
    assert list(find_samples(tmp_path, {"samples": tmp_path})) == ["samples"]


def test_samples_are_in_the_order_of_their_numbers() -> None:
    files = {stem: Path(stem) for stem in ("a_10", "a_9", "a_0")}
    assert [file.name for file in by_number(files)] == ["a_0", "a_9", "a_10"]
