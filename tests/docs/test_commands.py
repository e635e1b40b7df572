"""Every command in the documents runs in a small form, or is parsed by what would run it."""

import argparse
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
from torch.distributed.run import get_args_parser

from semsynth.cli import COMMANDS, find, main
from semsynth.cli.data import open_pairs
from semsynth.cli.parsing import arguments_of
from tests.docs.documents import DOCUMENTS, commands, furnish

SHORT = shlex.split(
    "--trainer.max_steps 2 --trainer.val_check_interval 1.0 --trainer.check_val_every_n_epoch 1 "
    "--trainer.accelerator cpu --trainer.logger false --trainer.enable_progress_bar false "
    "--trainer.limit_val_batches 1 --trainer.limit_test_batches 1 --data.batch_size 2 "
    "--data.eval_batch_size 2 --evaluation.metrics [] --images.num_masks 1 --images.num_samples 2"
)
TOY = shlex.split("--data.train_size 4 --data.val_size 2 --data.test_size 2")
SMALL = {
    "clvae": "--model.channels 2 --model.spade_channels 4 --model.discriminator_channels 4 "
    "--model.perceptual_weight 0 --data.image_size 64",
    "fewshot_smis": "--model.inversion_steps 2 --model.encoder_widths [32,32,32,32]",
    "user_controllable_lt": "--model.scale_pairs 8 --model.gain_pairs 4 --model.dim 32 "
    "--model.depth 1",
    "stylegan2": "--model.channel_base 512 --model.channel_max 8",
    "segmenter": "--model.channels 4",
    "label_flow": "--model.channels 8 --model.num_steps 2",
    "flow_estimator": "--data.batch_size 2",
}
OF_DOCUMENT = {  # whose run is meant by RUN
    "README": "clvae/toy_street",
    "clvae": "clvae/toy_street",
    "fewshot_smis": "fewshot_smis/toy_scribble",
    "label_flow": "label_flow/toy_street",
    "real": "segmenter/toy_street",
    "small_networks": "segmenter/toy_street",
    "stylegan2": "stylegan2/toy64",
    "user_controllable_lt": "user_controllable_lt/toy_portrait",
}
SHORTER = {  # what makes a tool's command short
    "invert": "--steps 2 --tune 2 --perceptual none",
    "pairs": "--num 2",
    "draw": "--num 1",
    "export": "--num 2 --batch_size 2 --inversion_steps 2 --perceptual none",
}
ELSEWHERE = {  # what is not run or parsed here: it needs a network, a cluster or a shell
    "sbatch": "a cluster",
    "wandb": "a network",
    "benchmarks/gpu.sh": "a GPU",
    "pip": "a network",
    "source": "a shell",
    "export": "a shell",
}
PARSED = {  # tools that are parsed and not run, and what they need
    ("weights", "fetch"): "a network",
    ("weights", "import"): "the original file",
    ("evaluate", "fid"): "Inception",
    ("evaluate", "diversity:alex"): "AlexNet",
    ("studio", "studio"): "a visitor",
    ("data", "ade20k"): "ADE20K",
    ("data", "CamVid"): "CamVid",
    ("data", "CCP"): "Clothing Co-Parsing",
    ("data", "experiments/clvae/ade20k.yaml"): "ADE20K",
}


class Parsed(Exception):  # noqa: N818  it is no error
    """Raised in place of what a program does after it has parsed its arguments."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Runs a program up to the point where its arguments are parsed."""

    def stopping(original: Callable[..., object]) -> Callable[..., None]:
        def parse_and_stop(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            raise Parsed

        return parse_and_stop

    def parse(program: Callable[[], object]) -> None:
        with monkeypatch.context() as context:
            for kind in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
                context.setattr(kind, "parse_args", stopping(kind.parse_args))
            with pytest.raises(Parsed):
                program()

    return parse


def fit_small(words: list[str]) -> None:
    """Train two steps, or, on data that are not here, print the configuration."""
    config = words[words.index("--config") + 1]
    method, name = Path(config).parts[1:]
    small = [*SHORT, *SMALL[method].split()]
    if name == "folder.yaml":
        small += ["--data.num_workers", "0"]
    elif name.startswith("toy"):
        small += TOY
    else:
        small = ["--print_config"]
    main([*words, *small, "--overwrite", "true"])


def run_semsynth(words: list[str]) -> None:
    command = words[0]
    if "--help" in words or any(word.endswith(".help") for word in words):
        main(words)
    elif command == "fit" and "--print-sbatch" not in words:
        fit_small(words)
    elif command == "fit" or command in COMMANDS:
        main([*words, *(["--num_samples", "1"] if command == "predict" else [])])
    elif any((command, word) in PARSED for word in words):
        given = arguments_of(*find(words))
        if command == "data":
            of_data = (given.get(key) for key in ("config", "data", "root", "arguments"))
            open_pairs(words[1], *of_data)
    else:
        main([*words, *shlex.split(SHORTER.get(command, ""))])


def run_module(words: list[str], parse: Callable[[Callable[[], object]], None]) -> None:
    """``python -m MODULE``, up to its arguments."""
    old = sys.argv
    sys.argv = [words[0], *words[1:]]
    try:
        parse(lambda: runpy.run_module(words[0], run_name="__main__"))
    finally:
        sys.argv = old


def run_command(words: list[str], parse: Callable[[Callable[[], object]], None]) -> None:
    """Run a command in its small form, or parse it."""
    if ">" in words:
        words = words[: words.index(">")]
    program, rest = words[0], words[1:]
    if program == "semsynth":
        run_semsynth(rest)
    elif program == "python":
        assert rest[0] == "-m"
        run_module(rest[1:], parse)
    elif program == "make":
        subprocess.run(["make", "--dry-run", *rest], check=True, capture_output=True)
    elif program == "torchrun":
        inner = get_args_parser().parse_args(rest)
        assert inner.training_script == "semsynth"
        main([*inner.training_script_args, "--print_config"])
    else:
        assert program in ELSEWHERE, f"{shlex.join(words)} is run by no test"


def finish_run(place: Path, experiment: str) -> None:
    """What the document calls RUN: a training of two steps."""
    config = f"experiments/{experiment}.yaml"
    fit_small(["fit", "--config", config, "--run_dir", "RUN"])
    assert (place / "RUN/checkpoints/last.ckpt").exists()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_run(
    document: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parse_only: Callable[[Callable[[], object]], None],
) -> None:
    found = commands(document)
    if not found:
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMSYNTH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    furnish(tmp_path)
    if any("RUN/" in word for words in found for word in words):
        finish_run(tmp_path, OF_DOCUMENT[document.stem])
    for words in found:
        try:
            run_command(words, parse_only)
        except SystemExit as end:
            if end.code not in (None, 0):
                pytest.fail(f"{shlex.join(words)}\n{end.code}")


def test_exceptions_are_used() -> None:
    used = {words[0] for document in DOCUMENTS for words in commands(document)}
    assert ELSEWHERE.keys() <= used
