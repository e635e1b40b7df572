"""Where pretrained weights come from and how they are found offline.

Weights that ship with the package lie in ``semsynth/assets`` as safetensors, each with a JSON card
of the same name. Weights that cannot ship are looked for, never downloaded in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from semsynth.errors import UserError
from semsynth.weights.registry import DOWNLOADS, WeightsFile
from semsynth.weights.store import MissingWeightsError, find, home, locate, search_directories

if TYPE_CHECKING:
    from semsynth.networks.unet import UNet

__all__ = [
    "ASSETS",
    "DOWNLOADS",
    "MissingWeightsError",
    "WeightsFile",
    "as_described",
    "find",
    "find_described",
    "home",
    "load_segmenter",
    "locate",
    "read_card",
    "search_directories",
]

AGAIN = "import or copy the two files again"
ASSETS = Path(__file__).parents[1] / "assets"


def load_segmenter(name: str) -> UNet:
    """A segmenter that ships with the package, frozen and in eval mode.

    Args:
        name: ``toy_portrait``, ``toy_street``, or the path of a safetensors file with its card.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    import torch  # here, so that `semsynth weights` need not wait for it
    from safetensors.torch import load_file

    from semsynth.networks.unet import UNet

    path = ASSETS / f"{name}_segmenter.safetensors"
    if not path.is_file():
        path = Path(name)
    if not path.is_file() or not path.with_suffix(".json").is_file():
        names = ", ".join(shipped()) or "none"
        raise MissingWeightsError(
            f"No segmenter is called {name!r} and there is no file {path} with a card "
            f"{path.with_suffix('.json').name} beside it. Shipped: {names}."
        )
    card = read_card(path)
    with as_described(path), torch.random.fork_rng(devices=[]):  # the run's random numbers stay
        network = UNet(**card["network"])
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return network.eval().requires_grad_(False)


def shipped() -> list[str]:
    """Names of the segmenters that ship with the package."""
    files = sorted(ASSETS.glob("*_segmenter.safetensors"))
    return [file.stem.removesuffix("_segmenter") for file in files]


def find_described(name_or_path: str | Path, suffix: str, what: str, remedy: str = "") -> Path:
    """Path of a safetensors file with a card beside it.

    Args:
        name_or_path: Name of one that ships, or the path of a file.
        suffix: What the names of those that ship end with.
        what: What such a file holds, for the message.
        remedy: How to come by one, for the message.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    found = ASSETS / f"{name_or_path}{suffix}.safetensors"
    path = found if found.is_file() else Path(name_or_path)
    if path.is_file() and path.with_suffix(".json").is_file():
        return path
    names = [p.stem.removesuffix(suffix) for p in ASSETS.glob(f"*{suffix}.safetensors")]
    raise MissingWeightsError(
        f"No {what} is called {str(name_or_path)!r}, and there is no file {path} with a card "
        f"{path.with_suffix('.json').name} beside it. Shipped: "
        f"{', '.join(sorted(names)) or 'none'}.{remedy}"
    )


def read_card(weights: Path) -> dict[str, Any]:
    """The JSON card beside a file of weights: how it was made and what it scored.

    Raises:
        UserError: It is no JSON object.
    """
    file = weights.with_suffix(".json")
    try:
        card = json.loads(file.read_text())
    except ValueError as error:  # of JSON and of UTF-8
        raise UserError(f"{file} is no JSON ({error}); {AGAIN}.") from error
    if not isinstance(card, dict):
        raise UserError(f"{file} holds {type(card).__name__}, not an object; {AGAIN}.")
    return card


@contextmanager
def as_described(path: Path, kind: type[UserError] = UserError) -> Iterator[None]:
    """Say of whatever goes wrong within that a file of weights is not what its card describes.

    Args:
        path: The file.
        kind: The error to raise.
    """
    try:
        yield
    except UserError:
        raise
    except (KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        card = path.with_suffix(".json").name
        raise kind(
            f"{path} cannot be read as its card describes it ({card}): {reason}; {AGAIN}."
        ) from error
