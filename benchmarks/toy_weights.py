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
from lightning import Trainer
from lightning.pytorch.cli import instantiate_class
from safetensors.torch import save_file

from semsynth.methods import Segmenter
from semsynth.weights import ASSETS

SEGMENTERS = ("toy_street", "toy_portrait")


def main() -> None:
    """Train and write what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.toy_weights")
    parser.add_argument("names", nargs="*", choices=[*SEGMENTERS, []], help="default: all")
    for name in parser.parse_args().names or SEGMENTERS:
        train_segmenter(name)


def train_segmenter(name: str) -> None:
    """Train a toy segmenter and write it with its card."""
    commit = current_commit()  # before the training, during which the tree may change
    run_dir = Path("outputs/toy_weights") / name
    words = ["fit", "--config", f"experiments/segmenter/{name}.yaml", "--run_dir", str(run_dir)]
    command = [sys.executable, "-m", "semsynth", *words, "--overwrite", "true"]
    subprocess.run([*command, "--test_after_fit", "false"], check=True)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    segmenter = Segmenter.load_from_checkpoint(
        run_dir / "checkpoints/last.ckpt", map_location="cpu"
    )
    half = {
        k: v.half() if v.is_floating_point() else v
        for k, v in segmenter.network.state_dict().items()
    }
    segmenter.network.load_state_dict(half)  # what ships is what is measured
    path = ASSETS / f"{name}_segmenter.safetensors"
    temporary = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in half.items()}, temporary)
    temporary.replace(path)
    card = {
        "what": f"U-Net segmenter of {config['data']['class_path'].rsplit('.', 1)[-1]}",
        "network": {k: segmenter.hparams[k] for k in ("num_classes", "channels", "depth")},
        "test_mean_iou": round(measure_mean_iou(segmenter, config), 4),
        "test_images": config["data"]["init_args"]["test_size"],
        "images_seen": images_seen(run_dir, config),
        "seed": config["seed_everything"],
        "config": f"experiments/segmenter/{name}.yaml",
        "command": shlex.join(["semsynth", *words]),
        "commit": commit,
        "torch": torch.__version__,
        "storage": "float16",
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def measure_mean_iou(segmenter: Segmenter, config: dict[str, Any]) -> float:
    """Mean IoU on the test split."""
    trainer = Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
    data = instantiate_class((), config["data"])
    return trainer.test(segmenter, data, verbose=False)[0]["test/MeanIoU"]


def images_seen(run_dir: Path, config: dict[str, Any]) -> int:
    """Training images, repeats counted."""
    checkpoint = torch.load(
        run_dir / "checkpoints/last.ckpt", map_location="cpu", weights_only=True
    )
    return int(checkpoint["global_step"]) * int(config["data"]["init_args"]["batch_size"])


def current_commit() -> str:
    """The commit of the working tree, with a mark if it has been changed."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
