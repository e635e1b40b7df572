import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning import Trainer

from semsynth.data import Folder
from semsynth.methods import CLVAE, LabelFlow, Segmenter
from tests.data.trees import write_map, write_photo

SIZE = 32
NAMES = ("ground", "thing", "other")


def write_pairs(root: Path, count: int) -> None:
    """Photos with a ground, a thing and a stripe of something else."""
    for i in range(count):
        values = np.zeros((SIZE, SIZE), int)
        values[8:20, 4 + i : 16 + i] = 1
        values[28:] = 2
        write_photo(root / f"images/{i}.png", (SIZE, SIZE), i)
        write_map(root / f"labels/{i}.png", values)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two labelled photos with classes."""
    root = tmp_path_factory.mktemp("pairs")
    for split in ("train", "val"):
        write_pairs(root / split, 2)
    (root / "classes.txt").write_text("ground #112233\nthing #ff0000\nother #00ff00\n")
    return root


def write_run(
    run_dir: Path, method: str, arguments: Mapping[str, Any], data: Mapping[str, Any]
) -> Path:
    """A run directory as a training leaves it, with a checkpoint of random weights."""
    classes = (CLVAE, LabelFlow, Segmenter)
    kinds: dict[str, Callable[..., CLVAE | LabelFlow | Segmenter]] = {
        kind.__name__: kind for kind in classes
    }
    torch.manual_seed(0)
    model = kinds[method](**arguments)
    model.eval()
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    file = run_dir / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    trainer.save_checkpoint(file, weights_only=True)
    config = {"model": {"class_path": method, "init_args": arguments}, "data": data}
    (run_dir / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    return file


@pytest.fixture(scope="session")
def clvae(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small CLVAE of the labelled photos."""
    arguments = {
        "num_classes": 3,
        "image_size": (SIZE, SIZE),
        "channels": 4,
        "discriminator_channels": 4,
        "spade_channels": 4,
        "z_dim": 4,
        "code_dim": 4,
        "encoder_size": 128,
        "perceptual_weight": 0.0,
    }
    return write_run(tmp_path_factory.mktemp("clvae"), "CLVAE", arguments, folder_of(pairs))


@pytest.fixture(scope="session")
def label_flow(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small LabelFlow of the labelled photos."""
    arguments = {"num_classes": 3, "image_size": (SIZE, SIZE), "channels": 8, "num_steps": 2}
    return write_run(tmp_path_factory.mktemp("flow"), "LabelFlow", arguments, folder_of(pairs))


def folder_of(root: Path) -> dict[str, Any]:
    """The configuration of the labelled photos."""
    arguments = {"root": str(root), "num_classes": 3, "image_size": SIZE}
    return {"class_path": Folder.__name__, "init_args": arguments}


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Checkpoints of two random segmenters of these classes."""
    found = []
    for channels in (2, 4):
        arguments = {"num_classes": 3, "channels": channels}
        place = tmp_path_factory.mktemp("judge")
        found.append(str(write_run(place, "Segmenter", arguments, {})))
    return found
