import hashlib
import json
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset
from PIL import Image
from torchvision import tv_tensors
from torchvision.datasets import VisionDataset
from torchvision.transforms import v2

from semsynth.cli import main
from semsynth.data import Folder
from tests.data.trees import only_batch
from tests.export.conftest import *  # noqa: F403  its fixtures
from tests.helpers.killed import CONTEXT

NAMES = ("ground", "thing", "other")


def export(output: Path, clvae: Path, *args: str) -> Path:
    base = ["--ckpt_path", str(clvae), "--output", str(output), "--batch_size", "4", "--chunk", "4"]
    main(["export", *base, "--device", "cpu", *args])
    return output


def hashes(root: Path) -> dict[str, str]:
    """Hash of each file that is part of the data set."""
    files = [p for p in root.rglob("*") if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def manifest(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


class Pairs(VisionDataset):  # type: ignore[misc]  # torchvision has no types
    """How torchvision's own segmentation data sets read files."""

    def __init__(self, root: Path, transforms: v2.Transform) -> None:
        super().__init__(root, transforms=transforms)
        self.images = sorted((root / "images").iterdir())
        self.masks = sorted((root / "labels").iterdir())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = tv_tensors.Image(Image.open(self.images[index]).convert("RGB"))
        mask = tv_tensors.Mask(Image.open(self.masks[index]))
        assert self.transforms is not None
        return self.transforms(image, mask)


def test_an_export_is_read_as_a_folder_and_passes_the_check(
    clvae: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = export(tmp_path / "out", clvae, "--num", "10", "--split", "0.6", "0.4", "0")
    data = Folder(str(root), 3, image_size=32, batch_size=64, flip=False)
    assert data.label_space.names == NAMES
    assert data.label_space.palette[1] == (255, 0, 0)
    batch = only_batch(data, "train")
    count = sum(record["split"] == "train" for record in manifest(root))
    assert batch["image"].shape == (count, 3, 32, 32)
    assert set(batch["mask"].unique().tolist()) <= {0, 1, 2}
    main(["data", "check", "--data", "folder", "--root", str(root), "--data.num_classes", "3"])
    assert "No problems found" in capsys.readouterr().out


def test_torchvision_code_reads_it(clvae: Path, tmp_path: Path) -> None:
    root = export(tmp_path / "out", clvae, "--num", "6", "--split", "1", "0", "0")
    to_float = v2.ToDtype({tv_tensors.Image: torch.float32, "others": None})
    dataset = Pairs(root / "train", v2.Compose([v2.RandomHorizontalFlip(p=1), to_float]))
    assert len(dataset) == 6
    image, mask = dataset[0]
    written = np.asarray(Image.open(root / "train/labels/0000000.png"))
    assert image.shape == (3, 32, 32)
    assert np.array_equal(np.asarray(mask).squeeze(), written[:, ::-1])
    names = (root / "splits/train.txt").read_text().split()
    assert names == [path.stem for path in dataset.images]


def test_shards_hold_what_the_folder_holds(clvae: Path, tmp_path: Path) -> None:
    folder = export(tmp_path / "folder", clvae, "--num", "6")
    shards = export(tmp_path / "shards", clvae, "--num", "6", "--format", "webdataset")
    assert manifest(folder) == manifest(shards)
    files = sorted(str(p) for p in shards.glob("*/*.tar"))
    found = list(webdataset.WebDataset(files, shardshuffle=False).decode("pil"))
    assert len(found) == 6
    for sample in found:
        place = folder / sample["json"]["split"]
        for kind in ("image", "label"):
            file = place / f"{kind}s" / f"{sample['__key__']}.png"
            read = np.asarray(sample[f"{kind}.png"])  # of maps, three equal channels
            expected = np.asarray(Image.open(file).convert("RGB"))
            assert np.array_equal(read, expected)


def test_coco_adds_the_annotations_of_each_split(clvae: Path, tmp_path: Path) -> None:
    root = export(tmp_path / "out", clvae, "--num", "6", "--format", "coco")
    annotations = root / "annotations/train.json"
    content = json.loads(annotations.read_text())
    assert [c["name"] for c in content["categories"]] == list(NAMES)
    names = {image["file_name"] for image in content["images"]}
    assert names == {path.name for path in (root / "train/images").iterdir()}
    again = ["--images", str(root / "train/images"), "--output", str(tmp_path / "again")]
    again += ["--annotations", str(annotations), "--split", "1", "0", "0"]
    main(["data", "prepare", "coco", *again])
    for name in names:
        before, after = (
            np.asarray(Image.open(r / f"train/labels/{name}")) for r in (root, tmp_path / "again")
        )
        assert np.array_equal(before, after)


@pytest.mark.parametrize("method", ["clvae", "label_flow"])
def test_masks_of_a_folder_are_used_as_they_are_in_several_styles(
    method: str, request: pytest.FixtureRequest, pairs: Path, tmp_path: Path
) -> None:
    labels, checkpoint = pairs / "train/labels", request.getfixturevalue(method)
    root = export(tmp_path / "out", checkpoint, "--masks", str(labels), "--styles", "3")
    records = manifest(root)
    assert [record["source"] for record in records] == ["0"] * 3 + ["1"] * 3
    images = set()
    for record in records:
        split, name = record["split"], f"{record['name']}.png"
        mask = np.asarray(Image.open(root / str(split) / "labels" / name))
        assert np.array_equal(mask, np.asarray(Image.open(labels / f"{record['source']}.png")))
        images.add((root / str(split) / "images" / name).read_bytes())
    assert len(images) == 6


def start(output: Path, clvae: Path, *args: str) -> BaseProcess:
    words = ["export", "--ckpt_path", str(clvae), "--output", str(output), "--num", "80"]
    words += ["--batch_size", "4", "--chunk", "4", "--device", "cpu"]
    process = CONTEXT.Process(target=main, args=([*words, *args],))
    process.start()
    return process


def kill_after(process: BaseProcess, output: Path, parts: int) -> None:
    """Kill a process when it has written so many chunks."""
    end = time.monotonic() + 600
    while len(list(output.glob(".parts/*.jsonl"))) < parts:
        assert process.is_alive(), "it was done before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    process.kill()
    process.join()


def test_killed_twice_and_gone_on_with_two_processes_gives_the_same_files(
    clvae: Path, tmp_path: Path
) -> None:
    whole, broken = start(tmp_path / "whole", clvae), tmp_path / "broken"
    kill_after(start(broken, clvae), broken, 3)
    kill_after(start(broken, clvae), broken, 9)
    assert not (broken / "manifest.jsonl").is_file()
    both = [start(broken, clvae, "--shard", f"{i}/2") for i in (0, 1)]
    for process in (whole, *both):
        process.join()
        assert process.exitcode == 0
    assert hashes(broken) == hashes(tmp_path / "whole")
    names = [record["name"] for record in manifest(broken)]
    assert names == [f"{i:07d}" for i in range(80)]
    assert len(list(broken.glob("*/images/*"))) == len(list(broken.glob("*/labels/*"))) == 80


def test_filters_drop_what_judges_do_not_find_and_say_so(
    clvae: Path, judges: list[str], tmp_path: Path
) -> None:
    names = ["--filters", "agreement", "disagreement", "copies", "--judges", *judges]
    root = export(tmp_path / "out", clvae, "--num", "20", *names, "--keep", "0.5")
    records, report = manifest(root), json.loads((root / "report.json").read_text())
    limit = report["thresholds"]["agreement"]
    for record in records:
        low = record["agreement"] < round(limit, 5) - 1e-5
        assert low == ("agreement" in record.get("dropped_for", []))
    assert report["dropped_for"]["agreement"] == 10
    assert report["kept"] + report["splits"]["dropped"] == 20
    dropped = [record for record in records if "dropped_for" in record]
    assert len(list((root / "dropped/images").iterdir())) == len(dropped)
    masks = [np.asarray(Image.open(p)) for p in root.glob("*/labels/*.png")]
    assert any((mask == 255).any() for mask in masks)
    assert {p.stem for p in (root / "sheets").iterdir()} == {"first", "best", "worst", "dropped"}


def test_copies_of_training_images_are_dropped(clvae: Path, tmp_path: Path) -> None:
    arguments = ["--num", "4", "--filters", "copies"]
    near = export(tmp_path / "near", clvae, *arguments, "--min_distance", "2")
    assert all(record["dropped_for"] == ["copies"] for record in manifest(near))
    far = export(tmp_path / "far", clvae, *arguments, "--min_distance", "0")
    assert not any("dropped_for" in record for record in manifest(far))


def test_thresholds_come_from_held_out_images(
    clvae: Path, pairs: Path, judges: list[str], tmp_path: Path
) -> None:
    held_out = ["--target_precision", "0.99", "--held_out", str(pairs / "val")]
    names = ["--filters", "agreement", "class_agreement", "--judges", *judges]
    root = export(tmp_path / "out", clvae, "--num", "4", *names, *held_out)
    limits = json.loads((root / "card.json").read_text())["thresholds"]
    assert len(limits["class_agreement"]) == 3
    assert limits["agreement"] > 0


def test_samples_of_a_prior_are_labelled_from_few_pairs(tmp_path: Path) -> None:
    main(["draw", "--prior", "toy_portrait", "--num", "1", "--output", str(tmp_path / "mine")])
    train = tmp_path / "mine/train"
    image = np.asarray(Image.open(next((train / "images").iterdir())))
    halves = np.zeros(image.shape[:2], np.uint8)
    halves[:, 32:] = 1
    name = next((train / "images").iterdir()).name
    Image.fromarray(halves).save(train / "labels" / name)
    (tmp_path / "mine/classes.txt").write_text("left\nright\n")
    arguments = ["--prior", "toy_portrait", "--labelled", str(tmp_path / "mine"), "--num", "8"]
    arguments += ["--layers", "32", "--filters", "margin", "--output", str(tmp_path / "out")]
    main(["export", *arguments, "--device", "cpu", "--split", "1", "0", "0"])
    masks = np.stack([np.asarray(Image.open(p)) for p in (tmp_path / "out").glob("*/labels/*.png")])
    assert set(np.unique(masks)) == {0, 1, 255}
    assert 0.1 < (masks == 255).mean() < 0.3  # a fifth is not kept
    left, right = (
        (masks[:, :, side] == c).sum() for side, c in ((slice(32), 0), (slice(32, 64), 1))
    )
    assert left + right > 0.5 * (masks != 255).sum()


def test_mistakes_about_a_checkpoint_end_in_one_message(
    clvae: Path, judges: list[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="There is no class 'tree'; the classes are"):
        export(tmp_path / "a", clvae, "--num", "2", "--paste", "tree")
    with pytest.raises(SystemExit, match="CLVAE needs masks"):
        export(tmp_path / "b", clvae, "--num", "2", "--source", "samples")
    with pytest.raises(SystemExit, match="Segmenter cannot make labelled images"):
        export(tmp_path / "c", Path(judges[0]), "--num", "2")
    export(tmp_path / "d", clvae, "--num", "2")
    with pytest.raises(SystemExit, match="written with num 2, not 3"):
        export(tmp_path / "d", clvae, "--num", "3")
