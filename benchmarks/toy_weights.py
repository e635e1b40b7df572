"""Retrain the weights that ship: ``python -m benchmarks.toy_weights [NAME ...]``.

Each is trained by its experiment through the command line, and written to ``semsynth/assets`` as
half-precision safetensors with a card that says how it was made and what it scores.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import instantiate_class
from safetensors.torch import save_file
from torch import Tensor, nn

from semsynth.methods import FlowEstimator, Segmenter
from semsynth.weights import ASSETS

SEGMENTERS = ("toy_street", "toy_portrait")
NAMES = (*SEGMENTERS, "toy_flow")


def main() -> None:
    """Train and write what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.toy_weights")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: all")
    for name in parser.parse_args().names or NAMES:
        if name in SEGMENTERS:
            train_segmenter(name)
        else:
            train_flow_estimator()


def train_segmenter(name: str) -> None:
    """Train a toy segmenter and write it with its card."""
    run_dir, config, made = train(f"experiments/segmenter/{name}.yaml", name)
    segmenter = Segmenter.load_from_checkpoint(last_checkpoint(run_dir), map_location="cpu")
    half = halve(segmenter.network)
    card = {
        "what": f"U-Net segmenter of {config['data']['class_path'].rsplit('.', 1)[-1]}",
        "network": {k: segmenter.hparams[k] for k in ("num_classes", "channels", "depth")},
        "test_mean_iou": round(measure(segmenter, config)["test/MeanIoU"], 4),
        "test_images": config["data"]["init_args"]["test_size"],
        "images_seen": samples_seen(run_dir, config),
    }
    write(ASSETS / f"{name}_segmenter.safetensors", half, card | made)


def train_flow_estimator() -> None:
    """Train the toy estimator of motion and write it with its card."""
    experiment = "experiments/flow_estimator/toy_portrait.yaml"
    run_dir, config, made = train(experiment, "toy_flow")
    estimator = FlowEstimator.load_from_checkpoint(last_checkpoint(run_dir), map_location="cpu")
    half = halve(estimator.network)
    scores = measure(estimator, config)
    sizes = ("channels", "feature_dim", "hidden_dim", "context_dim")
    keys = (*sizes, "num_levels", "radius", "num_updates")
    card = {
        "what": "RAFT with log expansion of ToyPortrait",
        "network": {k: estimator.hparams[k] for k in keys},
        "test_epe": round(scores["test/EPE"], 4),
        "test_epe_dis": round(scores["test/EPE_dis"], 4),
        "test_log_expansion_mae": round(scores["test/log_expansion_mae"], 4),
        "test_log_expansion_mae_dis": round(scores["test/log_expansion_mae_dis"], 4),
        "test_pairs": config["data"]["init_args"]["test_size"],
        "images_seen": 2 * samples_seen(run_dir, config),
    }
    write(ASSETS / "toy_flow.safetensors", half, card | made)


def train(experiment: str, name: str) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Train an experiment through the command line.

    Args:
        experiment: Path of its YAML file.
        name: Name of the run below ``outputs/toy_weights``.

    Returns:
        Directory of the run, its configuration, and what its card says about how it was made.
    """
    commit = current_commit()  # before the training, during which the tree may change
    run_dir = Path("outputs/toy_weights") / name
    words = ["fit", "--config", experiment, "--run_dir", str(run_dir)]
    command = [sys.executable, "-m", "semsynth", *words, "--overwrite", "true"]
    subprocess.run([*command, "--test_after_fit", "false"], check=True)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    made = {
        "seed": config["seed_everything"],
        "config": experiment,
        "command": shlex.join(["semsynth", *words]),
        "commit": commit,
        "torch": torch.__version__,
        "storage": "float16",
    }
    return run_dir, config, made


def last_checkpoint(run_dir: Path) -> Path:
    """The weights that a training ended with."""
    return run_dir / "checkpoints/last.ckpt"


def halve(network: nn.Module) -> dict[str, Tensor]:
    """Weights in half precision, which the network gets too: what ships is what is measured."""
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    network.load_state_dict(half)
    return half


def measure(method: LightningModule, config: dict[str, Any]) -> dict[str, float]:
    """Scores on the test split."""
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    data = instantiate_class((), config["data"])
    return dict(trainer.test(method, data, verbose=False)[0])


def write(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write weights and their card."""
    temporary = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in state.items()}, temporary)
    temporary.replace(path)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def samples_seen(run_dir: Path, config: dict[str, Any]) -> int:
    """Training samples, repeats counted."""
    checkpoint = torch.load(last_checkpoint(run_dir), map_location="cpu", weights_only=True)
    return int(checkpoint["global_step"]) * int(config["data"]["init_args"]["batch_size"])


def current_commit() -> str:
    """The commit of the working tree, with a mark if it has been changed."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
