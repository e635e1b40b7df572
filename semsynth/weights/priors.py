"""Generators that other methods build on.

A file holds the generator under ``generator.`` and, to continue its training, the discriminator
under ``discriminator.``. The card's keys of these names are the arguments of their constructors.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import cards
from semsynth.weights.cards import State
from semsynth.weights.store import WeightsError

SUFFIX = "_stylegan2"
REMEDY = (
    " Make one from an official checkpoint with\n  semsynth import FILE --as stylegan2 --out DIR"
)


def find_prior(name_or_path: str | Path) -> Path:
    """Path of a prior's file, by the name of a shipped one or its path."""
    return cards.find_weights(name_or_path, SUFFIX, "prior", REMEDY)


def read_card(path: Path) -> dict[str, Any]:
    """The card of a prior."""
    return cards.read_card(path, "a StyleGAN2 prior", "generator")


def load_generator(name_or_path: str | Path) -> StyleGAN2Generator:
    """A generator, frozen, in eval mode and float32.

    Args:
        name_or_path: Name of a shipped one, such as ``toy_portrait``, or the path of a file with
            its card.
    """
    path = find_prior(name_or_path)
    card = read_card(path)
    generator = cards.read_network(path, StyleGAN2Generator, card["generator"], "generator.")
    if fingerprint(generator) != card.get("fingerprint"):
        raise WeightsError(
            f"The weights in {path} are not those that its card {path.with_suffix('.json').name} "
            f"describes (fingerprint); {cards.AGAIN}."
        )
    return generator.eval().requires_grad_(False)


def load_discriminator(name_or_path: str | Path) -> StyleGAN2Discriminator | None:
    """The discriminator of a prior, in float32, to continue its training; ``None`` without one."""
    path = find_prior(name_or_path)
    card = read_card(path)
    if "discriminator" not in card:
        return None
    arguments = card["discriminator"]
    return cards.read_network(path, StyleGAN2Discriminator, arguments, "discriminator.")


def save_generator(
    generator: StyleGAN2Generator,
    path: str | Path,
    card: dict[str, Any],
    discriminator: StyleGAN2Discriminator | None = None,
    half: bool = False,
) -> None:
    """Write a prior and its card.

    Args:
        generator: The generator.
        path: The safetensors file.
        card: Its description. ``card["generator"]``, and ``card["discriminator"]`` with one, are
            the arguments of their constructors. The fingerprint is added.
        discriminator: The discriminator, to continue the training.
        half: Store float16, in half the space.
    """
    networks: dict[str, nn.Module] = {"generator": generator}
    if discriminator is None:
        card = {key: value for key, value in card.items() if key != "discriminator"}
    else:
        networks["discriminator"] = discriminator
    state: State = {}
    for name, network in networks.items():
        check_arguments(name, network, card)
        state |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    rounded = {k: v.half() if half else v for k, v in generator.state_dict().items()}
    card = card | {"fingerprint": fingerprint(rounded)}
    cards.write_weights(state, Path(path), card, half)


def fingerprint(generator: nn.Module | State) -> str:
    """SHA-256 over names, shapes and float32 numbers of a state dict, in order of the names.

    Two generators with the same fingerprint draw the same images, whatever their device, memory
    format and storage. A method that keeps its prior out of its checkpoints keeps this instead.
    """
    state = generator.state_dict() if isinstance(generator, nn.Module) else generator
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def require_prior(what: str, stored: Any, generator: nn.Module) -> None:
    """Refuse what was trained on another prior, by its fingerprint or an object with it."""
    prior = stored if isinstance(stored, dict) else {"fingerprint": stored}
    wanted, own = prior.get("fingerprint"), fingerprint(generator)
    if wanted != own:
        name = f" ({prior['name']})" if "name" in prior else ""
        raise WeightsError(
            f"{what} belongs to the prior with fingerprint {str(wanted)[:12]}{name}, but the one "
            f"in use has {own[:12]}. Set model.prior to the prior it was trained on."
        )


def check_arguments(name: str, network: nn.Module, card: dict[str, Any]) -> None:
    """Refuse a card from which the network cannot be rebuilt."""
    with torch.device("meta"):
        described = type(network)(**card.get(name, {}))
    remedy = f"card[{name!r}] must be the arguments of the {name}'s constructor."
    cards.require_same_shapes(network, described, f"The {name} of the card", remedy)
