from typing import Any

import pytest
import torch

from semsynth.methods import FewShotSMIS
from semsynth.methods.trained import load_trained
from semsynth.studio.annotate import fresh_copy, train_on_shots


@pytest.fixture(scope="module")
def shipped() -> FewShotSMIS:
    method, _ = load_trained("toy_portrait_fewshot")
    assert isinstance(method, FewShotSMIS)
    return method


@pytest.fixture(scope="module")
def shots(shipped: FewShotSMIS) -> dict[str, Any]:
    mask = torch.zeros(1, 64, 64, dtype=torch.int64)
    for label, (top, left) in enumerate([(4, 4), (36, 26), (12, 30), (24, 24), (28, 26)], 1):
        mask[:, top : top + 4, left : left + 6] = label
    w_plus = shipped.generator.repeat(shipped.sample_w(torch.tensor([5]), 0.7))
    return {"mask": mask, "w_plus": w_plus}


def test_a_fresh_copy_has_learnt_nothing_and_shares_the_prior(shipped: FewShotSMIS) -> None:
    one, two = fresh_copy(shipped), fresh_copy(shipped)
    tensors = zip(one.generator.parameters(), shipped.generator.parameters(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in tensors)
    assert not one.prototypes.seen.any()
    states = [m.encoder.state_dict() for m in (one, two, shipped)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_a_training_changes_the_encoder_alone_and_tells_each_step(
    shipped: FewShotSMIS, shots: dict[str, Any]
) -> None:
    method = fresh_copy(shipped)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    told: list[tuple[int, int, float]] = []
    train_on_shots(method, shots, 3, lambda *what: told.append(what))
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(loss > 0 for _, _, loss in told)
    after = method.state_dict()
    changed = {k.split(".")[0] for k, v in before.items() if not torch.equal(v, after[k])}
    assert changed <= {"encoder", "prototypes", "labeller"}
    assert "encoder" in changed
    assert method.prototypes.seen.any()
    assert not method.training


def test_a_training_neither_moves_nor_changes_the_shared_prior(
    shipped: FewShotSMIS, shots: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning moves what it has trained to the CPU; double precision stands for that here."""
    monkeypatch.setattr(FewShotSMIS, "cpu", lambda self: self.to(torch.float64))
    prior = shipped.generator
    before = {k: (v.clone(), v.data_ptr(), v.dtype) for k, v in prior.state_dict().items()}
    method = fresh_copy(shipped)
    train_on_shots(method, shots, 2, lambda *what: None)
    assert next(method.generator.parameters()).dtype == torch.float64  # the teardown was there
    for k, v in prior.state_dict().items():
        value, place, dtype = before[k]
        assert (v.data_ptr(), v.dtype) == (place, dtype)
        assert torch.equal(v, value)
    assert not prior.training


def test_what_the_progress_raises_ends_the_training(
    shipped: FewShotSMIS, shots: dict[str, Any]
) -> None:
    class EnoughError(Exception):
        pass

    steps: list[int] = []

    def stop(done: int, total: int, loss: float) -> None:
        steps.append(done)
        if done == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        train_on_shots(fresh_copy(shipped), shots, 50, stop)
    assert steps == [1, 2]


def test_a_sample_without_a_label_is_refused(shipped: FewShotSMIS, shots: dict[str, Any]) -> None:
    blank = shots | {"mask": torch.zeros_like(shots["mask"])}
    with pytest.raises(ValueError, match="no label"):
        train_on_shots(fresh_copy(shipped), blank, 3, lambda *what: None)
