"""Where pretrained weights come from and how they are found offline.

Weights that ship with the package lie in ``semsynth/assets`` as safetensors, each with a JSON card
of the same name. Weights that cannot ship are looked for, never downloaded in silence.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from semsynth.networks.unet import UNet

ASSETS = Path(__file__).parent / "assets"

# name -> (file name, address)
DOWNLOADS: dict[str, tuple[str, str]] = {
    "vgg19": (
        "vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
    "vgg16": (
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
    "alexnet": (
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "inception": (
        "inception-2015-12-05.pt",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    ),
}


class MissingWeightsError(FileNotFoundError):
    """A file of pretrained weights was not found; the message says how to get it."""


def search_directories() -> list[Path]:
    """Directories that are searched for weights, in this order."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    torch_home = Path(os.environ.get("TORCH_HOME", cache / "torch"))
    directories = [cache / "semsynth", torch_home / "hub" / "checkpoints"]
    own = os.environ.get("SEMSYNTH_WEIGHTS")
    return [Path(own), *directories] if own else directories


def find(name: str, needed_for: str, remedy: str) -> Path:
    """Path of a file of pretrained weights that cannot ship with the package.

    Args:
        name: A key of ``DOWNLOADS``.
        needed_for: What needs the file, for the error message.
        remedy: The switch that does without it, for the error message.

    Raises:
        MissingWeightsError: The file is in none of the directories.
    """
    file_name, address = DOWNLOADS[name]
    directories = search_directories()
    for directory in directories:
        if (directory / file_name).is_file():
            return directory / file_name
    raise MissingWeightsError(
        f"{needed_for} needs {file_name}, which is in none of "
        f"{', '.join(map(str, directories))}. Fetch it with\n"
        f"  curl --create-dirs -Lo {directories[0] / file_name} {address}\n"
        f"or do without it: {remedy}."
    )


def load_segmenter(name: str) -> UNet:
    """A segmenter that ships with the package, frozen and in eval mode.

    Args:
        name: ``toy_portrait``, ``toy_street``, or the path of a safetensors file with its card.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    path = ASSETS / f"{name}_segmenter.safetensors"
    if not path.is_file():
        path = Path(name)
    if not path.is_file() or not path.with_suffix(".json").is_file():
        shipped = sorted(
            p.stem.removesuffix("_segmenter") for p in ASSETS.glob("*_segmenter.safetensors")
        )
        raise MissingWeightsError(
            f"No segmenter is called {name!r} and there is no file {path} with a card "
            f"{path.with_suffix('.json').name} beside it. Shipped: {', '.join(shipped) or 'none'}."
        )
    with torch.random.fork_rng(devices=[]):  # the run's random numbers stay where they were
        network = UNet(**read_card(path)["network"])
    network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return network.eval().requires_grad_(False)


def read_card(weights: Path) -> dict[str, Any]:
    """The JSON card beside a file of weights: how it was made and what it scored."""
    return json.loads(weights.with_suffix(".json").read_text())
