"""Encoders that belong to a prior: safetensors files with a JSON card of the same name.

The card's key ``encoder`` holds the arguments of the constructor, ``prior`` the fingerprint of the
generator whose styles the encoder predicts.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import MissingWeightsError, as_described, read_card
from semsynth.weights.priors import PriorError, check_arguments, fingerprint, write_weights

SUFFIX = "_fewshot_smis"


def save_encoder(
    encoder: GradualStyleEncoder, path: Path, card: dict[str, Any], half: bool = False
) -> None:
    """Write an encoder and its card.

    Args:
        encoder: The encoder.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: What is to be told: ``encoder``, the arguments of its constructor, and ``prior``, the
            fingerprint of its generator. Storage and versions are added.
        half: Store float16, in half the space.

    Raises:
        PriorError: The arguments do not describe the encoder, or a weight is too large for float16.
    """
    check_arguments("encoder", encoder, card)
    dtype = torch.float16 if half else torch.float32
    tensors = {
        key: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype)
        for key, value in encoder.state_dict().items()
    }
    tensors = {key: value.clone().contiguous() for key, value in tensors.items()}
    write_weights(tensors, path, card | {"storage": str(dtype).removeprefix("torch.")})


def load_encoder(path: Path, generator: StyleGAN2Generator) -> GradualStyleEncoder:
    """An encoder in float32, in training mode.

    Args:
        path: A file of ``save_encoder``, with its card beside it.
        generator: The prior that it is to be used with.

    Raises:
        MissingWeightsError: There is no such file, or no card.
        PriorError: The file is no encoder, or that of another prior.
    """
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise MissingWeightsError(
            f"There is no file {path} with a card {path.with_suffix('.json').name} beside it. Make "
            "one of an official checkpoint with\n  semsynth import FILE --as fewshot_smis --out DIR"
        )
    card = read_card(path)
    if not isinstance(card.get("encoder"), dict):
        raise PriorError(f"{path.with_suffix('.json')} does not describe an encoder.")
    if card.get("prior") != (own := fingerprint(generator)):
        raise PriorError(
            f"The encoder in {path} belongs to the prior with fingerprint "
            f"{str(card.get('prior'))[:12]}, and that of this model has {own[:12]}. Give the prior "
            "that was imported with it."
        )
    with as_described(path, PriorError):
        with torch.device("meta"):  # no memory and no random numbers for what is replaced
            encoder = GradualStyleEncoder(**card["encoder"])
        tensors = load_file(path)
        state = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
        encoder.load_state_dict(state, assign=True)
    return encoder
