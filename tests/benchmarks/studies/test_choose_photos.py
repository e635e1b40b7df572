"""The choice of photos to label."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.studies import choose_photos
from semsynth.data import ToyPortrait
from semsynth.data.shots import choose_shots
from semsynth.inversion.stored_codes import StoredCodes


def test_photos_are_ranked_by_both_errors_under_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Tensor] = []

    def found(generator: Any, image: torch.Tensor, *_: Any) -> StoredCodes:
        seen.append(image)
        mse, distance = torch.tensor([0.1, 0.3, 0.0]), torch.tensor([0.2, 0.1, 0.1])
        return StoredCodes(torch.zeros(3, 1, 1), mse, distance, [Path()] * 3)

    monkeypatch.setattr(choose_photos, "invert_once", found)
    ranked = choose_photos.rank("toy_portrait", 3, seed=2)
    data = ToyPortrait(labels="dense", shots=1)
    names = data.names("train")
    ids = choose_shots(3, names, 2)
    assert [name for name, _ in ranked] == [names[ids[i]] for i in (2, 0, 1)]
    assert [round(error, 4) for _, error in ranked] == [0.1, 0.3, 0.4]
    assert torch.equal(seen[0][1], data.dataset("train")[ids[1]]["image"])
