"""Real samples in the official formats, in the folder that SEMSYNTH_SAMPLES names."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.data import ADE20K, CelebAMaskHQ, FewShotFolder
from semsynth.data.disk import PairsOnDisk
from semsynth.data.few_shot import LabelKind
from tests.data.trees import only_batch

SAMPLES = Path(os.environ.get("SEMSYNTH_SAMPLES", "no-samples"))
pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="SEMSYNTH_SAMPLES names no folder of real samples"
)


def ade20k() -> ADE20K:
    return ADE20K(str(SAMPLES / "ade20k"), load_size=None, flip=False, num_workers=0)


def few(folder: str, num_classes: int, labels: LabelKind = "dense") -> FewShotFolder:
    return FewShotFolder(str(SAMPLES / folder), num_classes, labels, batch_size=5)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (ade20k(), [f"ADE_train_0000000{i}" for i in (1, 2, 3, 4)]),
        (few("celebamask_hq", 19), ["0", "1", "10", "100", "1000"]),
        (few("celeba_landmarks", 71, "sparse"), ["9995", "9996", "9997", "9998", "9999"]),
        (few("lsun_church", 151), ["610", "811", "883", "942", "981"]),
        (few("lsun_cat", 9, "sparse"), ["0"]),
    ],
)
def test_samples_hold_the_classes_on_disk(data: PairsOnDisk, names: list[str]) -> None:
    batch = only_batch(data, "train")
    assert sorted(batch["name"]) == names
    pairs = {pair.name: pair for pair in data.pairs("train")}
    for name, mask in zip(batch["name"], batch["mask"], strict=True):
        image = Image.open(pairs[name].labels[0])
        on_disk = np.asarray(image.resize((256, 256), Image.Resampling.NEAREST))
        on_disk = on_disk[..., 0] if on_disk.ndim == 3 else on_disk
        same = (data.lookup()[on_disk] == mask.numpy()).mean()
        assert same > 0.99  # Pillow rounds otherwise where a centre lies on a border


def test_photo_of_a_sample_is_resized_as_pillow_does() -> None:
    batch = only_batch(ade20k(), "val")
    file = SAMPLES / "ade20k/images/validation/ADE_val_00000163.jpg"
    expected = Image.open(file).resize((256, 256), Image.Resampling.BICUBIC)
    image = batch["image"][0].add(1).mul(127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(image - np.asarray(expected, dtype=float)).max() <= 2


def test_labels_of_the_cat_alone_are_enough_to_test() -> None:
    batch = only_batch(few("lsun_cat", 9, "sparse"), "test")
    assert batch["mask"].shape == (7, 256, 256)
    assert "image" not in batch


def test_prepared_tree_of_faces_loads(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).symlink_to(SAMPLES / "celebamask_hq/train")
    data = CelebAMaskHQ(str(tmp_path), shots=5, num_workers=0, batch_size=5)
    assert set(only_batch(data, "train")["mask"].unique().tolist()) <= set(range(19))
    names = data.names("train")
    assert [names[i] for i in data.train_ids] == list(CelebAMaskHQ.PAPER_SHOTS)
