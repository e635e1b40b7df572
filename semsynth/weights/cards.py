"""Weight files: safetensors with a JSON card of the same name; all are read and written here."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from semsynth import __version__, weights
from semsynth.errors import UserError, shortened
from semsynth.files import read_json, replaced
from semsynth.weights.store import MissingWeightsError, WeightsError

State = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)
KINDS: dict[str, type | UnionType] = {  # of keys that a card may have
    **{"feature_resolution": int, "style_layer": int, "unknown": int | None},
    **{"features": str, "prior_file": str, "classes": dict, "discriminator": dict},
    "prior": str | dict,
}
AGAIN = "import or copy the two files again"


def find_weights(name_or_path: str | Path, suffix: str, what: str, remedy: str = "") -> Path:
    """Path of a weight file with a card beside it.

    Args:
        name_or_path: Name of a shipped one, or the path of a file.
        suffix: Suffix of shipped files; without one they are not listed.
        what: Contents of such a file, for the message.
        remedy: How to get one, for the message.
    """
    found = weights.ASSETS / f"{name_or_path}{suffix}.safetensors"
    path = found if found.is_file() else Path(name_or_path)
    if path.is_file() and path.with_suffix(".json").is_file():
        return path
    shipped = f" Shipped: {', '.join(weights.shipped(suffix)) or 'none'}." if suffix else ""
    raise MissingWeightsError(
        f"No {what} is called {str(name_or_path)!r}, and there is no file {path} with a card "
        f"{path.with_suffix('.json').name} beside it.{shipped}{remedy}"
    )


def read_card(path: Path, what: str = "weights", *keys: str) -> dict[str, Any]:
    """The card of a weight file: contents, origin and scores.

    A card of ``what`` has an object under each of ``keys``, else a ``WeightsError`` is raised.
    """
    file = path.with_suffix(".json")
    try:
        card = read_json(file)
    except UserError as error:
        raise WeightsError(f"{str(error).removesuffix('.')}; {AGAIN}.") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{file} is {type(card).__name__}, not an object; {AGAIN}.")
    if not all(isinstance(card.get(key), dict) for key in keys):
        raise WeightsError(f"{file} does not describe {what}.")
    for key in KINDS.keys() & card.keys():
        if not isinstance(card[key], KINDS[key]):
            raise WeightsError(f"{file}: {key} is {shortened(card[key])!r}; {AGAIN}.")
    return card


@contextmanager
def as_described(path: Path) -> Iterator[None]:
    """Report any error within as a mismatch between a weight file and its card."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # what constructors raise on a value of a wrong type
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path} cannot be read as its card describes it ({path.with_suffix('.json').name}): "
            f"{reason}; {AGAIN}."
        ) from error


def read_state(path: Path, prefix: str = "") -> State:
    """Tensors of a file whose names start with a prefix, without it; floats as float32."""
    with as_described(path), safe_open(path, "pt") as file:
        keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
        state = {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def read_network(
    path: Path, kind: Callable[..., Network], arguments: dict[str, Any], prefix: str = ""
) -> Network:
    """A network with the weights under a prefix of a file, in float32 and training mode.

    Its constructor, ``kind``, must set no tensors beside parameters and buffers.
    """
    with as_described(path):
        with torch.device("meta"):  # no memory and no random numbers
            network = kind(**arguments)
        network.load_state_dict(read_state(path, prefix), assign=True)
    return network


def write_weights(
    state: State, path: Path, card: dict[str, Any], half: bool = False, min_ndim: int = 0
) -> None:
    """Write tensors and their card, to which storage, versions and checksum are added.

    Args:
        state: The tensors, all finite.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: Their description.
        half: Store floats of at least ``min_ndim`` axes as float16, others as float32.
        min_ndim: See ``half``.
    """
    tensors = {}
    for key, value in state.items():
        dtype = value.dtype
        if value.is_floating_point():
            dtype = torch.float16 if half and value.ndim >= min_ndim else torch.float32
        tensors[key] = value.detach().to("cpu", dtype, copy=True).contiguous()
        if not tensors[key].isfinite().all():
            raise WeightsError(f"{key} cannot be stored as {dtype}: it has NaN or infinite values.")
    versions = {"semsynth": __version__, "torch": torch.__version__}
    written = save(tensors)
    card = card | {"storage": "float16" if half else "float32"} | versions
    card["sha256"] = hashlib.sha256(written).hexdigest()
    with replaced(path.with_suffix(".json")) as text, replaced(path) as content:
        content.write_bytes(written)  # save_file would make it unreadable for others
        text.write_text(json.dumps(card, indent=2) + "\n")


def require_same_shapes(network: nn.Module, other: nn.Module, what: str, remedy: str) -> None:
    """Refuse another network, ``what``, whose tensors differ from the model's in name or shape."""
    wanted, found = (
        {k: tuple(v.shape) for k, v in n.state_dict().items()} for n in (network, other)
    )
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise WeightsError(
                f"{what} does not fit: it has {key} of shape {found.get(key)}, the model's has "
                f"{wanted.get(key)}. {remedy}"
            )
