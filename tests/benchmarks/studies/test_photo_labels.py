"""The measurement of labels from photos."""

from collections import Counter
from typing import Any

import pytest
import torch

from benchmarks.figures.toy_prior import labelled_samples
from benchmarks.studies import photo_labels
from benchmarks.studies.photo_labels import PHOTOS, RULES, build, labelled, score, sets


def test_each_photo_is_in_as_many_sets() -> None:
    chosen = sets(5)
    assert [len(set(s)) for s in chosen] == [5] * PHOTOS
    assert set(Counter(i for s in chosen for i in s).values()) == {5}


def test_shots_whose_codes_are_known_label_other_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_labels, "SCORED", 8)
    found = {}
    for rule in ("class means", "read-out"):
        method = build("toy_portrait", "dense", RULES[rule])
        with torch.no_grad():
            w_plus, truth = labelled_samples(method.generator, 8)
        monkeypatch.setattr(method, "invert", lambda image, codes=w_plus: codes)
        shots = {"image": torch.zeros(8, 3, 64, 64), "mask": truth}
        found[rule] = score(method, shots, [0, 1, 2])
    assert 0.4 < found["class means"] < found["read-out"] < 1


def test_views_of_the_chosen_photos_label_too(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build("toy_portrait", "dense", {"shot_views": True})
    num_ws, w_dim = method.generator.num_ws, method.generator.w_dim
    image, mask = torch.rand(3, 3, 64, 64), torch.arange(3)[:, None, None].expand(3, 64, 64)
    monkeypatch.setattr(photo_labels, "SCORED", 2)
    numbered = torch.arange(18.0)[:, None, None].expand(18, num_ws, w_dim)
    monkeypatch.setattr(method, "invert", lambda image: numbered[: len(image)])
    learned: list[dict[str, Any]] = []
    monkeypatch.setattr(method, "learn_shots", learned.append)
    monkeypatch.setattr(method, "label", lambda w: torch.zeros(len(w), 64, 64, dtype=torch.long))
    score(method, {"image": image, "mask": mask}, [2])
    assert learned[0]["mask"].flatten(1).unique(dim=1).tolist() == [[2]] * 6
    assert learned[0]["w_plus"][:, 0, 0].tolist() == [2, 5, 8, 11, 14, 17]


def test_scribbles_number_the_classes_one_higher() -> None:
    dense, sparse = labelled("dense")["mask"], labelled("scribbles")["mask"]
    marked = sparse > 0
    assert 0 < marked.float().mean() < 1
    assert torch.equal(sparse[marked] - 1, dense[marked])
    assert build("toy_portrait", "scribbles", RULES["read-out"]).num_classes == 10
