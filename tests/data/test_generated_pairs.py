import json
from pathlib import Path

import pytest
import torch

from semsynth.data import CachedPairs, DataError, GeneratedPairs
from semsynth.data.generated_pairs import chunk_path
from semsynth.data.sampling import SeededIndex


def test_seeds_of_validation_and_test_are_fixed_and_different() -> None:
    data = GeneratedPairs(val_size=4, test_size=4)
    first, again = (
        [data.dataset(split)[i]["seed"] for split in ("val", "test") for i in range(4)]
        for _ in range(2)
    )
    assert first == again
    assert len(set(first)) == 8


def test_a_seed_of_training_is_that_of_the_sampler_as_an_int64() -> None:
    item = GeneratedPairs().dataset("train")[SeededIndex(3, (1 << 64) - 5)]
    assert item == {"index": 3, "seed": -5}
    assert torch.tensor([item["seed"]]).dtype == torch.int64


def test_epochs_and_processes_see_different_seeds() -> None:
    data = GeneratedPairs(train_size=8, batch_size=8)
    data.setup("fit")
    loader = data.train_dataloader()
    first = next(iter(loader))["seed"]
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]  # a TrainSampler
    second = next(iter(loader))["seed"]
    assert len({*first.tolist(), *second.tolist()}) == 16


def test_a_directory_without_cache_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no pairs"):
        CachedPairs(str(tmp_path)).setup("fit")


def test_a_damaged_file_is_named_before_training(tmp_path: Path) -> None:
    card = {"num": 3, "sigma_flow": 1.0, "sigma_expansion": 0.1, "origin": {}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    chunk_path(tmp_path, 0).write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"pairs_000000\.safetensors cannot be read"):
        CachedPairs(str(tmp_path)).setup("fit")
