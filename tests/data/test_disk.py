from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from semsynth.data import DataError, Folder
from semsynth.data.base import Batch
from semsynth.data.disk import PairDataset
from semsynth.data.pairs import Pair
from semsynth.data.sampling import TrainSampler
from tests.data.trees import write_pair, write_photo

KEYS = ("image", "mask", "index")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve training and five validation pairs."""
    root = tmp_path_factory.mktemp("folder")
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for i in range(count):
            write_pair(root / split, f"{i:02d}", generator.integers(0, 9, (30, 40)), seed=i)
    return root


def folder(root: Path, num_workers: int = 0, rank: int = 0, world_size: int = 1) -> Folder:
    """Global batches of four over all processes, cropped and mirrored."""
    torch.manual_seed(3)
    data = Folder(
        str(root),
        9,
        image_size=(16, 20),
        load_size=(20, 24),
        num_workers=num_workers,
        batch_size=4 // world_size,
        eval_batch_size=2,
    )
    data.setup("fit")
    start = SimpleNamespace(current=SimpleNamespace(processed=0))
    loop = SimpleNamespace(epoch_progress=start, epoch_loop=SimpleNamespace(batch_progress=start))
    processes: Any = SimpleNamespace(
        global_rank=rank, world_size=world_size, lightning_module=None, fit_loop=loop
    )
    data.trainer = processes
    return data


def epochs(data: Folder, count: int = 3) -> list[list[Batch]]:
    loader = data.train_dataloader()  # one, so that its workers persist
    assert isinstance(loader.sampler, TrainSampler)
    result = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        torch.rand(5)  # what else a training draws must not matter
        result.append(list(loader))
    return result


def merged(ranks: list[Batch]) -> dict[str, torch.Tensor]:
    """One step of all processes, sorted by sample."""
    columns = {key: torch.cat([batch[key] for batch in ranks]) for key in KEYS}
    order = columns["index"].argsort()
    return {key: column[order] for key, column in columns.items()}


@pytest.mark.parametrize(("num_workers", "world_size"), [(2, 1), (4, 1), (0, 2), (2, 2)])
def test_batches_depend_on_neither_workers_nor_processes(
    root: Path, num_workers: int, world_size: int
) -> None:
    expected = epochs(folder(root))
    ranks = [epochs(folder(root, num_workers, rank, world_size)) for rank in range(world_size)]
    for epoch, batches in enumerate(expected):
        assert sorted(i for b in batches for i in b["index"].tolist()) == list(range(12))
        for step, batch in enumerate(batches):
            mine, theirs = merged([batch]), merged([rank[epoch][step] for rank in ranks])
            assert all(torch.equal(mine[key], theirs[key]) for key in KEYS)


def test_epochs_differ_in_order_and_crops(root: Path) -> None:
    first, second, _ = (merged(batches) for batches in epochs(folder(root)))
    assert torch.equal(first["index"], second["index"])
    changed = (first["mask"] != second["mask"]).flatten(1).any(1)
    assert changed.sum() > 6


def test_another_seed_gives_other_crops(root: Path) -> None:
    masks = []
    for seed in (3, 4, 4):
        data = folder(root)
        torch.manual_seed(seed)
        masks.append(merged(list(data.train_dataloader()))["mask"])
    assert not torch.equal(masks[0], masks[1])
    assert torch.equal(masks[1], masks[2])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_reads_each_sample_once_over_all_processes(root: Path, num_workers: int) -> None:
    loaders = [folder(root, num_workers, rank, 2).val_dataloader() for rank in range(2)]
    read = [i for loader in loaders for batch in loader for i in batch["index"].tolist()]
    assert sorted(read) == [0, 1, 2, 3, 4]


def test_loaders_give_bytes(root: Path) -> None:
    batch = next(iter(folder(root).train_dataloader()))
    assert batch["image"].dtype == batch["mask"].dtype == torch.uint8
    assert batch["image"].is_contiguous()


def test_cached_samples_equal_those_from_the_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = merged(next(iter(epochs(folder(root), 1))))
    data = folder(root)
    dataset = data._datasets["train"]
    assert isinstance(dataset, PairDataset)
    data._datasets["train"] = PairDataset(
        dataset.pairs, dataset.transform, str(tmp_path / "resized"), exact=False
    )
    for _ in range(2):
        cached = merged(epochs(data, 1)[0])
        assert all(torch.equal(cached[key], plain[key]) for key in KEYS)
        monkeypatch.setattr("semsynth.data.disk.read_image", lambda *_: pytest.fail("decoded"))


def test_large_jpegs_are_decoded_in_full_for_scores(tmp_path: Path) -> None:
    pixels = write_photo(tmp_path / "a.png", (64, 64))
    Image.fromarray(pixels).resize((256, 256)).save(tmp_path / "a.jpg", quality=95)
    data = Folder(str(tmp_path), 2, image_size=32)
    pair = Pair("a", tmp_path / "a.jpg", ())
    exact = PairDataset([pair], data.transform("val"))[0]["image"]
    reduced = PairDataset([pair], data.transform("val"), exact=False)[0]["image"]
    whole = Image.open(tmp_path / "a.jpg").resize((32, 32), Image.Resampling.BICUBIC)
    difference = exact.permute(1, 2, 0).numpy().astype(int) - np.asarray(whole)
    assert np.abs(difference).max() <= 1
    assert not torch.equal(exact, reduced)


def test_only_the_files_of_the_shots_are_checked(root: Path, tmp_path: Path) -> None:
    for i in range(3):
        write_pair(tmp_path / "train", i, [[9 if i == 1 else 0] * 12] * 10)
        write_pair(tmp_path / "val", i, [[0] * 12] * 10)
    data = Folder(str(tmp_path), 9, image_size=(10, 12), shots=["0", "2"], num_workers=0)
    data.setup("fit")
    (batch,) = data.unlabelled_dataloader()
    assert batch["name"] == ["1"]
    assert "mask" not in batch
    with pytest.raises(DataError, match=r"labels/1\.png has the value 9"):
        Folder(str(tmp_path), 9, shots=["1"]).setup("fit")
