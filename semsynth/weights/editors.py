"""Trained latent transformers, with their units of motion.

The card's ``method`` holds the arguments of ``UserControllableLT``, its ``prior`` the name and the
fingerprint of the prior.
"""

from pathlib import Path
from typing import Any

from semsynth.weights.cards import State, find_weights, read_card, read_state, write_weights

SUFFIX = "_layout"
REMEDY = (
    " Train one, or convert an official checkpoint with\n"
    "  semsynth import FILE --as user_controllable_lt --dataset NAME --out DIR"
)


def find_editor(name_or_path: str | Path) -> Path:
    """Path of a latent transformer's file, by the name of a shipped one or its path."""
    return find_weights(name_or_path, SUFFIX, "latent transformer", REMEDY)


def read_editor(path: Path) -> tuple[dict[str, Any], State]:
    """Card and weights, in float32, of a latent transformer."""
    card = read_card(path, "a latent transformer", "method", "prior")
    return card, read_state(path)


def prior_beside(path: Path, card: dict[str, Any]) -> str:
    """The prior of a latent transformer: beside its file, or by the name in its card."""
    name = str(card["prior"].get("name"))
    beside = path.parent / name
    return str(beside if beside.is_file() else name)


def save_editor(state: State, path: Path, card: dict[str, Any], half: bool = False) -> None:
    """Write weights, unit of motion and gain of a latent transformer, and its card."""
    write_weights(state, path, card, half, min_ndim=2)
