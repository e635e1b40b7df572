"""What may go wrong outside of the program ends in one message, and leaves nothing half-written.

Its figures are in ``docs/troubleshooting.md``; ``pytest -rP`` on this file prints them.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.results import append_result
from semsynth.callbacks.checkpoint_io import SafeCheckpointIO
from semsynth.data.cache import ResizedCache
from semsynth.editing import save_gif, save_mp4
from semsynth.errors import UserError
from semsynth.export.writers import FolderWriter, Sample, ShardWriter, Writer
from semsynth.files import write_tensors, write_text
from semsynth.images import save_instances, save_png
from semsynth.weights.cards import write_weights
from tests.bad_input.test_api import TABLE as CALLS
from tests.bad_input.test_commands import TABLE as COMMANDS
from tests.bad_input.test_hostile import ARGUMENTS, NUMBERS
from tests.benchmarks.test_damaged import FILES, ROWS
from tests.cli.test_faults import message_of_fit
from tests.helpers.command import status_of
from tests.studio.test_fuzzed_messages import MESSAGES

DISK = 1 << 20
FREE = [4, 8, 16, 24, 32, 48, 64, 96, 128]  # KiB
NOISE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 256, 256), np.uint8))
GREY = NOISE[:1].expand(3, -1, -1)  # a palette of it is found in no time
WEIGHTS = {"a": NOISE.float() / 255}  # 768 KiB


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of one MiB."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # a log may still be open


@pytest.fixture
def free(disk: Path) -> Iterator[Callable[[int], Path]]:
    """Fill the file system but for so many KiB; the folder to write to."""

    def fill(kibibytes: int) -> Path:
        (disk / "filler").write_bytes(bytes(DISK - (kibibytes << 10)))
        return disk

    yield fill
    subprocess.run(["find", str(disk), "-mindepth", "1", "-delete"], check=True)


def export(writer: Writer) -> None:
    records: list[dict[str, Any]] = [{"name": str(i), "split": "train"} for i in range(2)]
    writer.write(0, [Sample(NOISE, NOISE[0], record) for record in records])


def cached(place: Path) -> None:
    source = place.parent / "source"
    source.touch()
    ResizedCache(place / "cache", (256, 256)).get("image", [source], lambda: NOISE)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda p: write_text(p / "deep/a.txt", "a" * 200_000),
    "picture": lambda p: save_png(NOISE, p / "a.png"),
    "instances": lambda p: save_instances(NOISE[0].int() * 257, p / "a.png"),
    "checkpoint": lambda p: SafeCheckpointIO().save_checkpoint(WEIGHTS, p / "checkpoints/a.ckpt"),
    "codes": lambda p: write_tensors(p / "a.safetensors", WEIGHTS),
    "weights": lambda p: write_weights(WEIGHTS, p / "a.safetensors", {}),
    "cache": cached,
    "gif": lambda p: save_gif(torch.stack([GREY, GREY.flip(1), GREY.flip(2)]), p / "a.gif"),
    "mp4": lambda p: save_mp4(NOISE[None].expand(9, -1, -1, -1), p / "a.mp4", 2),
    "folder": lambda p: export(FolderWriter(p)),
    "shard": lambda p: export(ShardWriter(p)),
    "results": lambda p: append_result(p, {"run": "a", "note": "a" * 200_000}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_full_disk_is_said_and_leaves_nothing(kind: str, free: Callable[[int], Path]) -> None:
    for size in FREE:
        place = free(size)
        with pytest.raises(UserError, match=r"(?s)written.*No space left on device"):
            WRITERS[kind](place)
        assert [path.name for path in place.rglob("*") if path.is_file()] == ["filler"], size


def test_checkpoint_before_the_one_that_does_not_fit_is_named_only_if_there_is_one(
    free: Callable[[int], Path],
) -> None:
    place = free(64)
    with pytest.raises(UserError, match=r"There is none before it\."):
        WRITERS["checkpoint"](place)
    SafeCheckpointIO().save_checkpoint({"a": 1}, place / "checkpoints/a.ckpt")
    before = (place / "checkpoints/a.ckpt").read_bytes()
    with pytest.raises(UserError, match=r"The one before it is intact\."):
        WRITERS["checkpoint"](place)
    assert (place / "checkpoints/a.ckpt").read_bytes() == before


def test_samples_that_do_not_fit_are_whole_or_absent(
    free: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for size in FREE[:3]:
        words = ["draw", "--prior", "toy_portrait", "--num", "8", "--output", str(free(size))]
        assert status_of(words) == 1
        assert "No space left on device" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("size", FREE)
def test_training_on_a_full_disk_ends_in_one_message(
    size: int, free: Callable[[int], Path]
) -> None:
    run = free(size) / "run"
    message = message_of_fit("segmenter", run)
    assert "No space left on device" in message
    assert "intact" not in message or list(run.glob("checkpoints/*.ckpt"))
    assert not list(run.rglob("*.part"))


def test_the_figures_in_the_documentation_hold() -> None:
    inputs = len(COMMANDS) + len(CALLS) + len(NUMBERS) + 2 * len(ARGUMENTS)
    damages = len(ROWS) + len(FILES)
    print(f"{inputs} inputs, {len(WRITERS)} kinds of files on {len(FREE)} disks that are full,")
    print(f"{damages} damaged results, {MESSAGES} fuzzed messages")
    said = " ".join(Path("docs/troubleshooting.md").read_text().split())
    figures = f"{len(WRITERS)} kinds of files on a disk that is full at {len(FREE)} sizes"
    assert inputs > 400
    assert f"over 400 bad inputs, {figures}, {damages} kinds of damaged results" in said
    assert f"{MESSAGES:,} fuzzed messages" in said
