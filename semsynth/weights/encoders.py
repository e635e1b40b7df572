"""Encoders that belong to a prior.

The card's ``encoder`` holds the arguments of the constructor, its ``prior`` the fingerprint of the
generator whose styles the encoder predicts.
"""

from pathlib import Path
from typing import Any

from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.cards import find_weights, read_card, read_network, write_weights
from semsynth.weights.priors import check_arguments, require_prior

SUFFIX = "_fewshot_smis"
REMEDY = (
    " Make one from an official checkpoint with\n  semsynth import FILE --as fewshot_smis --out DIR"
)


def save_encoder(
    encoder: GradualStyleEncoder, path: Path, card: dict[str, Any], half: bool = False
) -> None:
    """Write an encoder and its card, with its arguments as ``encoder`` and its ``prior``."""
    check_arguments("encoder", encoder, card)
    write_weights(encoder.state_dict(), path, card, half)


def load_encoder(path: Path, generator: StyleGAN2Generator) -> GradualStyleEncoder:
    """An encoder of a prior, in float32 and training mode; that of another prior is refused."""
    path = find_weights(path, SUFFIX, "encoder", REMEDY)
    card = read_card(path, "an encoder", "encoder")
    require_prior(f"The encoder in {path}", card.get("prior"), generator)
    return read_network(path, GradualStyleEncoder, card["encoder"])
