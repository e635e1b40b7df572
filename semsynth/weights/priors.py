"""Generators that other methods stand on: safetensors files with a JSON card of the same name.

The file holds the generator under ``generator.`` and, if training is to go on from it, the
discriminator under ``discriminator.``. The card's keys of these names are the arguments of their
constructors; the rest says where they come from.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from semsynth import __version__, weights
from semsynth.errors import UserError
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

SUFFIX = "_stylegan2"
Network = TypeVar("Network", bound=nn.Module)


class PriorError(UserError):
    """A file is no prior, or not the one that its card describes."""


def find_prior(name_or_path: str | Path) -> Path:
    """Path of a prior's safetensors file.

    Args:
        name_or_path: Name of one that ships, such as ``toy_portrait``, or the path of a file with
            its card.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    remedy = (
        " Make one of an official checkpoint with\n  semsynth import FILE --as stylegan2 --out DIR"
    )
    return weights.find_described(name_or_path, SUFFIX, "prior", remedy)


def load_generator(name_or_path: str | Path) -> StyleGAN2Generator:
    """A generator, frozen, in eval mode and float32.

    Args:
        name_or_path: Name of one that ships, such as ``toy_portrait``, or the path of a file with
            its card.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
        PriorError: The file is no prior, or its card belongs to another file.
    """
    path = find_prior(name_or_path)
    card = read_card(path)
    generator = _load(path, "generator", StyleGAN2Generator, card)
    if fingerprint(generator) != card.get("fingerprint"):
        raise PriorError(
            f"The weights in {path} are not those that its card {path.with_suffix('.json').name} "
            "describes (fingerprint). Import or copy the two files again."
        )
    return generator.eval().requires_grad_(False)


def load_discriminator(name_or_path: str | Path) -> StyleGAN2Discriminator | None:
    """The discriminator of a prior, to train on in float32; ``None`` if the file holds none.

    Args:
        name_or_path: As of ``load_generator``.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
        PriorError: The file is no prior.
    """
    path = find_prior(name_or_path)
    card = read_card(path)
    if "discriminator" not in card:
        return None
    return _load(path, "discriminator", StyleGAN2Discriminator, card)


def save_generator(
    generator: StyleGAN2Generator,
    path: str | Path,
    card: dict[str, Any],
    discriminator: StyleGAN2Discriminator | None = None,
    half: bool = False,
) -> None:
    """Write a prior and its card, each under a temporary name that is then changed.

    Args:
        generator: The generator.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: What is to be told. ``card["generator"]``, and ``card["discriminator"]`` with one, are
            the arguments of their constructors. Storage, fingerprint and versions are added.
        discriminator: The discriminator, if training is to go on from the file.
        half: Store float16, in half the space.

    Raises:
        PriorError: The arguments do not describe the networks, or a weight is too large for
            float16.
    """
    dtype = torch.float16 if half else torch.float32
    networks: dict[str, nn.Module] = {"generator": generator}
    if discriminator is None:
        card = {key: value for key, value in card.items() if key != "discriminator"}
    else:
        networks["discriminator"] = discriminator
    tensors = {}
    for name, network in networks.items():
        check_arguments(name, network, card)
        for key, value in network.state_dict().items():
            tensors[f"{name}.{key}"] = value.detach().to("cpu", dtype, copy=True).contiguous()
    stored = {k: tensors[f"generator.{k}"] for k in generator.state_dict()}
    card = card | {"storage": str(dtype).removeprefix("torch."), "fingerprint": fingerprint(stored)}
    write_weights(tensors, Path(path), card)


def write_weights(tensors: dict[str, Tensor], path: Path, card: dict[str, Any]) -> None:
    """Write tensors and their card, each under a temporary name that is then changed.

    Args:
        tensors: Contiguous tensors on the CPU.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: What is to be told; versions are added.

    Raises:
        PriorError: A number is not finite, such as one that is too large for float16.
    """
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise PriorError(f"{key} cannot be stored as {value.dtype}: it would not be finite.")
    card = card | {"semsynth": __version__, "torch": torch.__version__}
    path.parent.mkdir(parents=True, exist_ok=True)
    files = path, path.with_suffix(".json")
    temporary = [file.with_name(f".{file.name}.part") for file in files]
    temporary[0].write_bytes(save(tensors))  # save_file would let nobody else read it
    temporary[1].write_text(json.dumps(card, indent=2) + "\n")
    for part, file in zip(temporary, files, strict=True):
        part.replace(file)


def read_card(path: Path) -> dict[str, Any]:
    """The card of a prior.

    Raises:
        PriorError: It describes something else.
    """
    card = weights.read_card(path)
    if not isinstance(card.get("generator"), dict):
        raise PriorError(f"{path.with_suffix('.json')} does not describe a StyleGAN2 prior.")
    return card


def fingerprint(generator: nn.Module | dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and float32 numbers of a state dict, in order of the names.

    Two generators with the same fingerprint draw the same images, whatever their device, memory
    format and storage. A method that keeps its prior out of its checkpoints keeps this instead.

    Args:
        generator: A network or its state dict.
    """
    state = generator.state_dict() if isinstance(generator, nn.Module) else generator
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _load(path: Path, name: str, kind: type[Network], card: dict[str, Any]) -> Network:
    """One network of a file, strictly."""
    prefix = f"{name}."
    with weights.as_described(path, PriorError):
        with torch.device("meta"):  # no memory and no random numbers for what is replaced
            network = kind(**card[name])
        with safe_open(path, "pt") as file:
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            state = {key.removeprefix(prefix): file.get_tensor(key).float() for key in keys}
        network.load_state_dict(state, assign=True)
    return network


def check_arguments(name: str, network: nn.Module, card: dict[str, Any]) -> None:
    """Refuse a card from which a network could not be built again.

    Raises:
        PriorError: ``card[name]`` does not hold the arguments that give its shapes.
    """
    with torch.device("meta"):
        described = type(network)(**card.get(name, {}))
    shapes = {k: v.shape for k, v in network.state_dict().items()}
    if shapes != {k: v.shape for k, v in described.state_dict().items()}:
        raise PriorError(
            f"card[{name!r}] must hold the arguments of the {name}'s constructor; those there make "
            "a network of other shapes."
        )
