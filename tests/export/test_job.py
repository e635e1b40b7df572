from pathlib import Path

import pytest

from semsynth.data import DataError
from semsynth.export.job import Plan, read_shard, start_card


def plan(by_origin: bool = False) -> Plan:
    shares = 0.6, 0.2, 0.2
    return Plan(Path("out"), 10, 0, 4, 3, shares, by_origin, num_classes=2)


def test_batches_cover_all_samples_once_and_end_with_their_chunk() -> None:
    batches = [batch.tolist() for chunk in plan().chunks for batch in plan().batches(chunk)]
    assert batches == [[0, 1, 2], [3], [4, 5, 6], [7], [8, 9]]


def test_splits_have_their_shares() -> None:
    splits = [plan().split_of(i, "sample") for i in range(2000)]
    assert splits.count("train") == pytest.approx(1200, abs=80)
    assert splits.count("val") == pytest.approx(400, abs=60)


def test_samples_of_one_mask_stay_together_where_that_is_asked_for() -> None:
    for origin in "abcdefgh":
        assert len({plan(by_origin=True).split_of(i, origin) for i in range(50)}) == 1
    assert len({plan(by_origin=True).split_of(0, str(i)) for i in range(50)}) == 3


def test_another_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text('{"seed": 1, "num": 5, "thresholds": {}}')
    assert start_card(tmp_path, {"seed": 1, "num": 5})["thresholds"] == {}
    with pytest.raises(DataError, match="written with seed 1, not 2"):
        start_card(tmp_path, {"seed": 2, "num": 5})
    (tmp_path / "card.json").rename(tmp_path / "thesis.tex")
    with pytest.raises(DataError, match="contains other files"):
        start_card(tmp_path, {"seed": 1})


def test_a_shard_is_read_as_given_or_is_that_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_shard("2/5") == (2, 5)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert read_shard(None) == (0, 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert read_shard(None) == (3, 4)


@pytest.mark.parametrize("text", ["4/4", "-1/2", "1", "a/b", "0/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"--shard must be I/N .* got '{text}'"):
        read_shard(text)
