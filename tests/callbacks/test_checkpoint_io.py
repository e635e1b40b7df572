import os
from pathlib import Path

import pytest
import torch

from semsynth.callbacks import run_directory
from semsynth.callbacks.checkpoint_io import CheckpointFileError, SafeCheckpointIO

IO = SafeCheckpointIO()


def content(step: int) -> dict[str, object]:
    return {"step": step, "weights": torch.full((1000,), float(step))}


def test_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    IO.save_checkpoint(content(3), tmp_path / "checkpoints/a.ckpt")
    loaded = IO.load_checkpoint(tmp_path / "checkpoints/a.ckpt")
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"], torch.full((1000,), 3.0))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["a.ckpt"]


def test_it_is_on_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[str]] = []
    original = os.fsync

    def recorded(handle: int) -> None:
        synced.append(sorted(path.name for path in tmp_path.iterdir()))
        original(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    IO.save_checkpoint(content(1), tmp_path / "a.ckpt")
    file, name = synced
    assert name == ["a.ckpt"]  # after the file
    assert len(file) == 1
    assert file[0].endswith(".part")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_full_disk_leaves_the_checkpoint_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    IO.save_checkpoint(content(1), path)
    monkeypatch.setattr("semsynth.files.secrets.token_hex", lambda length: "full")
    (tmp_path / ".last.ckpt.full.part").symlink_to("/dev/full")
    with pytest.raises(
        CheckpointFileError, match=r"last\.ckpt could not be written: No space left"
    ):
        IO.save_checkpoint(content(2), path)
    assert IO.load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_link_is_replaced_and_its_file_left_alone(tmp_path: Path) -> None:
    IO.save_checkpoint(content(1), tmp_path / "step_1.ckpt")
    (tmp_path / "last.ckpt").symlink_to("step_1.ckpt")
    IO.save_checkpoint(content(2), tmp_path / "last.ckpt")
    assert IO.load_checkpoint(tmp_path / "step_1.ckpt")["step"] == 1
    assert IO.load_checkpoint(tmp_path / "last.ckpt")["step"] == 2


def test_the_one_before_is_kept_and_no_more(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        IO.save_checkpoint(content(step), tmp_path / f"step_{step}.ckpt")
        IO.remove_checkpoint(tmp_path / f"step_{step - 1}.ckpt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["previous.ckpt", "step_3.ckpt"]
    assert IO.load_checkpoint(tmp_path / "previous.ckpt")["step"] == 2


def damage(path: Path, kind: str) -> None:
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = {
        "empty": b"",
        "cut off": whole[:middle],
        "a bit turned": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "another file": b"no checkpoint",
    }
    path.write_bytes(damaged[kind])


KINDS = ["empty", "cut off", "a bit turned", "another file"]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_and_the_checkpoint_before_taken(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for time, name in enumerate(["previous.ckpt", "step_2.ckpt"]):
        IO.save_checkpoint(content(time), folder / name)
        os.utime(folder / name, (time, time))
    (folder / "last.ckpt").symlink_to("step_2.ckpt")
    assert run_directory.last_checkpoint(tmp_path) == folder / "last.ckpt"
    damage(folder / "step_2.ckpt", kind)
    with pytest.warns(UserWarning, match=r"truncated: .*last\.ckpt.* Resuming from .*previous"):
        assert run_directory.last_checkpoint(tmp_path) == folder / "previous.ckpt"
    damage(folder / "previous.ckpt", kind)
    with pytest.raises(run_directory.DamagedRunError, match="All checkpoints are damaged"):
        run_directory.last_checkpoint(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "cut off", "another file", "missing"])
def test_a_checkpoint_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    IO.save_checkpoint(content(1), path)
    if kind == "missing":
        path.unlink()
    else:
        damage(path, kind)
    with pytest.raises(CheckpointFileError, match=r"a\.ckpt cannot be read: .*--ckpt_path last"):
        IO.load_checkpoint(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was_run"),)

    torch.save({"state_dict": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointFileError, match="cannot be read"):
        IO.load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "was_run").exists()
