"""Whole shipped methods: safetensors files with a JSON card of the same name.

The card's ``method`` holds the class and its arguments, ``classes`` names and colours, ``unknown``
the class of unknown pixels, if there is one. Networks that only training needs are left out, and so
is the prior, whose name and fingerprint are in the card.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.methods.base import without_retired
from semsynth.weights import WeightsError, cards
from semsynth.weights.priors import fingerprint, require_prior

SUFFIX = "_trained"
KINDS: dict[str, type[CLVAE | FewShotSMIS]] = {"CLVAE": CLVAE, "FewShotSMIS": FewShotSMIS}
FOR_TRAINING = ("discriminator", "perceptual_loss")


def save_trained(method: CLVAE | FewShotSMIS, path: Path, card: dict[str, Any]) -> None:
    """Write what a method predicts with, matrices in float16, and its card.

    Class, arguments and prior are added to the card, which has at least ``classes``.
    """
    state = {k: v for k, v in method.state_dict().items() if not _left_out(method, k)}
    arguments = {k: v for k, v in dict(method.hparams).items() if not k.startswith("_")}
    card = {"method": {"class": type(method).__name__, **arguments}} | card
    if isinstance(method, FewShotSMIS):
        card["prior"] = {"name": method.prior, "fingerprint": fingerprint(method.generator)}
    cards.write_weights(state, path, card, half=True, min_ndim=2)  # variances may exceed float16


def load_trained(name_or_path: str | Path) -> tuple[CLVAE | FewShotSMIS, dict[str, Any]]:
    """A method in eval mode and float32, with its card, by name (``toy_street_clvae``) or path."""
    path = find_trained(name_or_path)
    card = cards.read_card(path, "a trained method", "method")
    arguments = without_retired(card["method"])
    kind = KINDS.get(str(arguments.pop("class", "")))
    if kind is None:
        raise WeightsError(f"{path.with_suffix('.json')} describes none of {', '.join(KINDS)}.")
    # the run's random numbers stay where they were
    with cards.as_described(path), torch.random.fork_rng(devices=[]):
        method = kind(**arguments)
    if isinstance(method, FewShotSMIS):
        require_prior(str(path), card.get("prior"), method.generator)
    own = {k: v for k, v in method.state_dict().items() if _left_out(method, k)}
    with cards.as_described(path):
        method.load_state_dict(cards.read_state(path) | own)
    return drop_training_parts(method).eval(), card


def find_trained(name_or_path: str | Path) -> Path:
    """Path of the safetensors file of a method."""
    return cards.find_weights(name_or_path, SUFFIX, "trained method")


def drop_training_parts(method: CLVAE | FewShotSMIS) -> CLVAE | FewShotSMIS:
    """Free the memory of networks that only training needs."""
    for name in training_parts(method):
        if isinstance(getattr(method, name, None), nn.Module):
            setattr(method, name, None)
    return method.requires_grad_(False)


def training_parts(method: CLVAE | FewShotSMIS) -> tuple[str, ...]:
    """Names of the networks that only training needs; refinement asks a linear read-out too."""
    if isinstance(method, FewShotSMIS) and not method.reads_linearly:
        return (*FOR_TRAINING, "labeller")
    return FOR_TRAINING


def _left_out(method: CLVAE | FewShotSMIS, key: str) -> bool:
    return key.split(".")[0] in (*method.frozen, *training_parts(method))
