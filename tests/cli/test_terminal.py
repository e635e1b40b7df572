"""What a person sees in a terminal of 80 columns: few lines, and nothing of other libraries.

The test takes longer than others because the commands run in a process of their own, whose first
output is not yet that of a test.
"""

import os
import pty
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.trees import write_pair

ROOT = Path(__file__).parents[2]
COLUMNS, MOST_LINES = 80, 40
END = "-- end --"
SESSION = f"""
import os, sys
import semsynth.cli.data, semsynth.cli.evaluate, semsynth.cli.train
from semsynth.cli import main
for words in COMMANDS:
    child = os.fork()  # each command starts with what is imported, as in a new process
    if child == 0:
        main(words)
        sys.stdout.flush()
        os._exit(0)
    print("{END}", os.waitpid(child, 0)[1], flush=True)
"""
COMMANDS = {
    "fit": "fit --config experiments/clvae/toy_street.yaml --run_dir RUN --trainer.max_steps 4 "
    "--trainer.val_check_interval 2 --trainer.accelerator cpu --data.batch_size 2 "
    "--data.train_size 4 --data.val_size 2 --data.test_size 2 --data.image_size 32 "
    "--data.num_workers 0 --model.channels 2 --model.spade_channels 4 "
    "--model.discriminator_channels 4 --evaluation.cache_real false",
    "test": "test --ckpt_path RUN/checkpoints/last.ckpt",
    "predict": "predict --ckpt_path RUN/checkpoints/last.ckpt --num_samples 2 --output FAKE",
    "evaluate": "evaluate --real DATA/train/images --fake FAKE --metrics fd:toy_street",
    "check": "data check --data folder --root DATA --data.num_classes 3",
}
OF_OTHERS = re.compile(
    r"^wandb|lightning|litlogger|\btips?\b|leafspec|deprecat|\.py:\d|traceback|callbacks|flops|epoch",
    re.IGNORECASE,
)


def shown(stream: str) -> list[str]:
    """The lines of a terminal after a stream of characters, those of one line drawn over."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream)
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    return [line[i : i + COLUMNS] for line in lines for i in range(0, len(line) or 1, COLUMNS)]


@pytest.fixture(scope="module")
def terminals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The terminal of each command."""
    place = tmp_path_factory.mktemp("terminal")
    (place / "experiments").symlink_to(ROOT / "experiments")
    values = np.kron([[0, 1], [2, 255]], np.ones((16, 16), int))
    for seed, split in enumerate(("train", "train", "train", "val")):
        write_pair(place / "DATA" / split, seed, values, seed)
    words = [line.split() for line in COMMANDS.values()]
    session = SESSION.replace("COMMANDS", repr(words))
    environment = {
        **os.environ,
        **{"PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "TERM": "xterm"},
        **{"HOME": str(place), "XDG_CACHE_HOME": str(place)},
    }
    environment.pop("WANDB_MODE", None)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(place)
        os.execve(sys.executable, [sys.executable, "-c", session], environment)
    stream = b""
    while chunk := read(terminal):
        stream += chunk
    os.waitpid(child, 0)
    parts = stream.decode().split(END)
    assert len(parts) == len(COMMANDS) + 1, parts[-1]
    ends = [part.split("\n", 1) for part in parts[1:]]
    assert [end.strip() for end, _ in ends] == ["0"] * len(COMMANDS), stream.decode()
    texts = [parts[0], *(text for _, text in ends)]
    return {name: shown(text) for name, text in zip(COMMANDS, texts, strict=False)}


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux says so at the end
        return b""


@pytest.mark.parametrize("command", COMMANDS)
def test_terminal_has_few_lines_and_none_of_other_libraries(
    command: str, terminals: dict[str, list[str]]
) -> None:
    lines = terminals[command]
    assert 1 < len(lines) < MOST_LINES, "\n".join(lines)
    assert not [line for line in lines if OF_OTHERS.search(line)]


def test_training_ends_with_scores_places_and_the_next_command(
    terminals: dict[str, list[str]],
) -> None:
    text = "\n".join(terminals["fit"])
    order = ["CLVAE on ToyStreet, 32x32", "train", "trained 4 steps", "fd_toy", "Warning:"]
    order += ["scores     RUN/scores/test.json", "next       semsynth predict"]
    places = [text.find(part) for part in order]
    assert -1 not in places, text
    assert places == sorted(places)
    assert text.count("Warning:") == len(set(re.findall("Warning:.*", text)))
