"""Trained latent transformers: safetensors files with a JSON card of the same name.

The card's ``method`` holds the arguments of ``UserControllableLT``, its ``prior`` the name and the
fingerprint of the prior; the rest says where the weights come from.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from semsynth import __version__, weights
from semsynth.errors import UserError

SUFFIX = "_layout"


class EditorError(UserError):
    """A file is no latent transformer, or not one of this method."""


def find_editor(name_or_path: str | Path) -> Path:
    """Path of a latent transformer's safetensors file.

    Args:
        name_or_path: Name of one that ships, such as ``toy_portrait``, or the path of a file with
            its card.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    remedy = (
        " Train one, or convert an official checkpoint with\n"
        "  semsynth import FILE --as user_controllable_lt --dataset NAME --out DIR"
    )
    return weights.find_described(name_or_path, SUFFIX, "latent transformer", remedy)


def read_editor(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Card and weights, in float32, of a latent transformer.

    Raises:
        EditorError: The file is damaged, or its card describes something else.
    """
    card = weights.read_card(path)
    if not isinstance(card.get("method"), dict) or not isinstance(card.get("prior"), dict):
        raise EditorError(f"{path.with_suffix('.json')} does not describe a latent transformer.")
    with weights.as_described(path, EditorError):
        return card, {key: value.float() for key, value in load_file(path).items()}


def prior_beside(path: Path, card: dict[str, Any]) -> str:
    """Where the prior of a latent transformer is: beside its file, or by the name in its card."""
    beside = path.parent / str(card["prior"]["name"])
    return str(beside) if beside.is_file() else str(card["prior"]["name"])


def save_editor(
    state: dict[str, Tensor], path: Path, card: dict[str, Any], half: bool = False
) -> None:
    """Write a latent transformer and its card, each under a temporary name that is then changed.

    Args:
        state: Its weights, unit of motion and gain.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: What is to be told; ``method`` and ``prior`` must be there.
        half: Store weights as float16, in half the space.
    """
    tensors = {
        key: value.detach().cpu().to(torch.float16 if half and value.ndim > 1 else torch.float32)
        for key, value in state.items()
    }
    versions = {"semsynth": __version__, "torch": torch.__version__}
    card = card | {"storage": "float16" if half else "float32"} | versions
    path.parent.mkdir(parents=True, exist_ok=True)
    files = path, path.with_suffix(".json")
    temporary = [file.with_name(f".{file.name}.part") for file in files]
    temporary[0].write_bytes(save({k: v.contiguous() for k, v in tensors.items()}))
    temporary[1].write_text(json.dumps(card, indent=2) + "\n")
    for part, file in zip(temporary, files, strict=True):
        part.replace(file)
