from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from semsynth.data import DataError, FewShotFolder
from tests.data.trees import only_batch, write_map, write_pair


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("0", "1", "10"):
        write_pair(tmp_path / "train", name, [[0, 1, 2, 0], [0, 0, 0, 2]])
    return tmp_path


def write_codes(root: Path, codes: dict[str, torch.Tensor], folder: str = "codes") -> None:
    (root / "train" / folder).mkdir()
    for name, code in codes.items():
        torch.save({"codes": code}, root / "train" / folder / f"{name}.pt")


def few(root: Path, **arguments: Any) -> FewShotFolder:
    return FewShotFolder(str(root), 3, image_size=(2, 4), batch_size=3, **arguments)


def test_zero_is_unknown_in_sparse_labels_and_a_class_in_dense_ones(root: Path) -> None:
    sparse, dense = few(root, labels="sparse"), few(root)
    assert (sparse.label_space.unknown, dense.label_space.unknown) == (0, None)
    assert sparse.label_space.names == ("unknown", "class 1", "class 2")
    assert dense.label_space.names == ("class 0", "class 1", "class 2")
    assert sparse.num_classes == dense.num_classes == 3
    mask = only_batch(sparse, "train")["mask"]
    assert mask[0].tolist() == [[0, 1, 2, 0], [0, 0, 0, 2]]
    assert sparse.label_space.to_evaluation(mask[0]).tolist()[0] == [255, 0, 1, 255]


def test_scribbles_in_three_equal_channels_are_read(root: Path) -> None:
    """As the few-shot papers ship their scribbles of cats."""
    for file in (root / "train/labels").iterdir():
        Image.fromarray(np.full((2, 4, 3), 2, dtype=np.uint8)).save(file)
    assert (only_batch(few(root, labels="sparse"), "train")["mask"] == 2).all()


def test_codes_of_generator_samples_come_with_them(root: Path) -> None:
    codes = {name: torch.randn(1, 14, 512) for name in ("0", "1", "10")}
    write_codes(root, codes)
    (root / "train/codes/1.pt").unlink()
    save_file({"codes": codes["1"]}, root / "train/codes/1.safetensors")
    batch = only_batch(few(root), "train")
    for name, w_plus in zip(batch["name"], batch["w_plus"], strict=True):
        assert torch.equal(w_plus, codes[name][0])


def test_codes_found_by_inversion_are_read_where_the_papers_code_leaves_them(root: Path) -> None:
    write_codes(root, dict.fromkeys(("0", "1", "10"), torch.zeros(1, 18, 512)), "inversion")
    assert only_batch(few(root), "train")["w_plus"].shape == (3, 18, 512)


def test_missing_codes_are_named(root: Path) -> None:
    write_codes(root, {"0": torch.zeros(1, 14, 512)})
    with pytest.raises(DataError, match=r"1 has no codes: expected .*codes/1\.pt"):
        few(root).setup("fit")


def test_codes_of_two_generators_are_refused(root: Path) -> None:
    layers = {"0": 14, "1": 18, "10": 14}
    write_codes(root, {name: torch.zeros(1, count, 512) for name, count in layers.items()})
    with pytest.raises(DataError, match=r"1\.pt has codes of \(18, 512.* .*0\.pt of \(14, 512"):
        few(root).setup("fit")


def test_training_pairs_are_tested_where_there_are_no_others(root: Path) -> None:
    assert few(root).names("test") == ["0", "1", "10"]


def test_labels_alone_are_enough_to_test(root: Path) -> None:
    write_map(root / "test/labels/7.png", [[2, 1, 0, 0]] * 2)
    batch = only_batch(few(root), "test")
    assert batch["mask"].tolist() == [[[2, 1, 0, 0]] * 2]
    assert "image" not in batch


def test_test_photos_come_with_their_labels(root: Path) -> None:
    write_pair(root / "test", 7, [[2, 1, 0, 0]] * 2)
    assert only_batch(few(root), "test")["image"].shape == (1, 3, 2, 4)


@pytest.mark.parametrize(("shots", "chosen"), [(1, ["0"]), (2, ["0", "1"]), (3, ["0", "1", "10"])])
def test_shots_are_those_of_the_papers(root: Path, shots: int, chosen: list[str]) -> None:
    data = few(root, shots=shots)
    data.setup("fit")
    assert [data.names("train")[i] for i in data.train_ids] == chosen
