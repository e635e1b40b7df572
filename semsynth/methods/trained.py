"""Whole methods as they ship: safetensors files with a JSON card of the same name.

The card's ``method`` holds the class and its arguments, ``classes`` names and colours, ``unknown``
the class, if there is one, of pixels whose content nobody named. What training alone needs is left
out, and so is a prior, which the card names and whose fingerprint it holds.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from semsynth import weights
from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.weights.priors import PriorError, fingerprint, write_weights

SUFFIX = "_trained"
KINDS: dict[str, type[CLVAE | FewShotSMIS]] = {"CLVAE": CLVAE, "FewShotSMIS": FewShotSMIS}
FOR_TRAINING = ("discriminator", "perceptual_loss")


def save_trained(method: CLVAE | FewShotSMIS, path: Path, card: dict[str, Any]) -> None:
    """Write what a method predicts with, matrices in float16, and its card.

    Args:
        method: The method.
        path: The safetensors file; its card gets the suffix ``.json``.
        card: What is to be told, ``classes`` among it; class, arguments, prior and versions are
            added.

    Raises:
        PriorError: A weight is too large for float16.
    """
    tensors = {}
    for key, value in method.state_dict().items():
        if not _left_out(method, key):
            matrix = value.is_floating_point() and value.ndim > 1
            value = value.half() if matrix else value  # variances may be beyond float16
            tensors[key] = value.detach().cpu().clone().contiguous()
    arguments = {k: v for k, v in dict(method.hparams).items() if not k.startswith("_")}
    card = {"method": {"class": type(method).__name__, **arguments}} | card
    if isinstance(method, FewShotSMIS):
        card["prior"] = {"name": method.prior, "fingerprint": fingerprint(method.generator)}
    write_weights(tensors, path, card | {"storage": "float16"})


def load_trained(name_or_path: str | Path) -> tuple[CLVAE | FewShotSMIS, dict[str, Any]]:
    """A method in eval mode and float32, with its card.

    Args:
        name_or_path: Name of one that ships, such as ``toy_street_clvae``, or the path of a file.

    Raises:
        MissingWeightsError: There is no such file, or no such prior.
        PriorError: The file is not what its card describes, or of another prior.
    """
    path = find_trained(name_or_path)
    card = weights.read_card(path)
    arguments = dict(card.get("method", {}))
    kind = KINDS.get(arguments.pop("class", ""))
    if kind is None:
        raise PriorError(f"{path.with_suffix('.json')} describes none of {', '.join(KINDS)}.")
    with torch.random.fork_rng(devices=[]):  # the run's random numbers stay where they were
        method = kind(**arguments)
    if isinstance(method, FewShotSMIS):
        wanted = card.get("prior", {}).get("fingerprint")
        if wanted != (own := fingerprint(method.generator)):
            raise PriorError(
                f"{path} belongs to the prior with fingerprint {str(wanted)[:12]}, and that of "
                f"{method.prior!r} is {own[:12]}. Put the prior that it was trained on there."
            )
    own_state = {k: v for k, v in method.state_dict().items() if _left_out(method, k)}
    try:
        stored = load_file(path)
        method.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in stored.items()} | own_state
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise PriorError(f"{path} cannot be read as its card describes it: {error}") from error
    return drop_training_parts(method).eval(), card


def find_trained(name_or_path: str | Path) -> Path:
    """Path of the safetensors file of a method.

    Raises:
        MissingWeightsError: There is no such file; the message lists those that ship.
    """
    return weights.find_described(name_or_path, SUFFIX, "trained method")


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
