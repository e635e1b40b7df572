import pytest

from semsynth.export.sharding import read_shard


def test_a_shard_is_read_as_given() -> None:
    assert read_shard("2/5") == (2, 5)


def test_without_one_torchrun_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
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
