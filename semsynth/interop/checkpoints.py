"""Official files: what kind of checkpoint one is, and its tensors under their own names.

No code in a file is executed: ``.pt`` and ``.ckpt`` files are loaded as tensors and plain values,
pickles by ``restricted_pickle``.
"""

import argparse
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor

from semsynth.errors import UserError
from semsynth.files import impostor
from semsynth.interop import restricted_pickle
from semsynth.interop.restricted_pickle import Inert, RecordedModule, RefusedError

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files began before torch 1.6
WRAPPERS = ("module.", "_orig_mod.")
NUMPY = [
    *((Inert, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    (Inert, "numpy.dtype"),
]
NVIDIA = "NVIDIA Source Code License: research and evaluation only"
MIT = "MIT, as the code it was trained with; weights converted from NVIDIA's keep NVIDIA's licence"
Layout = Literal["rosinality", "nvidia", "semsynth"]
P = ParamSpec("P")
T = TypeVar("T")
UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class CheckpointError(UserError):
    """A file cannot be imported; the message says why."""


def refuses_the_rest(importer: Callable[P, T]) -> Callable[P, T]:
    """Decorate an importer of a file, its first argument, to convert unforeseen errors."""

    @wraps(importer)
    def careful(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return importer(*args, **kwargs)
        except CheckpointError:
            raise
        except UNFORESEEN as error:
            raise CheckpointError(
                f"{args[0]} has values with unexpected types or shapes "
                f"({type(error).__name__}: {str(error)[:200]}); it is of another kind or damaged"
            ) from error

    return careful


@contextmanager
def naming(file: object) -> Iterator[None]:
    """Prefix errors with the name of a file."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error


@dataclass
class StyleGAN2File:
    """The tensors of a file that belong to StyleGAN2.

    Attributes:
        format: Description of the format.
        layout: Naming scheme of the tensors.
        licence: Terms of use.
        generator: State of the averaged generator, without its mean latent.
        encoder: State of pSp's encoder.
        relative_styles: Whether the mean latent is to be added to the encoder's styles.
        discriminator: State of the discriminator.
        mean_latent: Mean latent (w_dim,), if the file has one.
        mapping_lr_multiplier: Factor of the mapping network's learning rate.
        group_size: Samples among which the discriminator compares standard deviations.
        left_out: Other contents of the file.
    """

    format: str
    layout: Layout
    licence: str
    generator: dict[str, Tensor]
    encoder: dict[str, Tensor] | None = None
    relative_styles: bool = True
    discriminator: dict[str, Tensor] | None = None
    mean_latent: Tensor | None = None
    mapping_lr_multiplier: float = 0.01
    group_size: int = 4
    left_out: list[str] = field(default_factory=list)


def read(path: Path) -> StyleGAN2File:
    """Read a checkpoint of StyleGAN2 in any of the known formats."""
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    with path.open("rb") as file:
        head = file.read(len(LEGACY_TORCH))
    with naming(path):
        if head.startswith(b"PK") or head == LEGACY_TORCH:
            return classify(load_torch(path))
        if head[:1] in (b"\x80", b"("):
            return from_nvidia(load_pickle(path))
    if (found := impostor(path)) is not None:
        raise CheckpointError(f"{path} is no checkpoint: {found}")
    raise CheckpointError(
        f"{path} is neither a file of torch.save nor a pickle. Supported are .pt files of "
        "rosinality's and pSp's code, .pkl files of NVIDIA's, and our own .ckpt files."
    )


def load_torch(path: Path) -> Any:
    """Tensors and plain values of a file of ``torch.save``, without prefixes of all keys.

    NumPy scalars, such as counted steps, become placeholders.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *NUMPY]):  # rosinality's "args"
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged archive raises is not documented
        if (found := impostor(path)) is not None:
            raise CheckpointError(f"it cannot be read: {found}") from error
        raise unreadable(error) from error
    if not isinstance(content, dict):
        return content
    return without_prefix({k: without_prefix(v) for k, v in content.items()})


def without_prefix(state: Any) -> Any:
    """A state dict without what ``DataParallel`` and ``torch.compile`` put before all its keys."""
    if isinstance(state, dict) and state:
        for prefix in WRAPPERS:
            if all(isinstance(key, str) and key.startswith(prefix) for key in state):
                return without_prefix({k.removeprefix(prefix): v for k, v in state.items()})
    return state


def load_pickle(path: Path) -> Any:
    """Contents of a pickle, with records in place of its modules."""
    try:
        with path.open("rb") as file:
            return restricted_pickle.load(file)
    except Exception as error:  # as documented, unpicklers may raise anything on damaged data
        raise unreadable(error) from error


def unreadable(error: Exception) -> CheckpointError:
    """The reason why a file cannot be read."""
    text = str(error)
    found = re.search(r"GLOBAL (\S+)", text) if isinstance(error, pickle.UnpicklingError) else None
    name = error.name if isinstance(error, RefusedError) else found[1] if found else None
    if name is None:
        return CheckpointError(f"it cannot be read ({type(error).__name__}: {text.split('. ')[0]})")
    if name.startswith("dnnlib.tflib."):
        return CheckpointError(
            "it is a TensorFlow pickle. Convert it with NVIDIA's legacy.py of the repository "
            "stylegan2-ada-pytorch first"
        )
    return CheckpointError(
        f"it names {name}, which no checkpoint of StyleGAN2 needs and which may be code; nothing "
        "was executed. If you trust its origin, re-save its state dicts with torch.save"
    )


def classify(content: Any) -> StyleGAN2File:
    """Identify a ``torch.save`` file."""
    if isinstance(content, dict):
        if "pytorch-lightning_version" in content:
            return from_lightning(content)
        if "g_ema" in content:
            return from_rosinality(content)
        if any(str(k).startswith("decoder.") for k in content.get("state_dict", ())):
            return from_psp(content)
    found = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content)
    raise CheckpointError(
        f"it has {found}, not g_ema (rosinality), state_dict with decoder.* (pSp), or the keys of "
        "our trainings"
    )


def from_rosinality(content: dict[str, Any]) -> StyleGAN2File:
    """``g_ema`` and perhaps ``d``: a converted file with its mean latent, or one of a training."""
    return StyleGAN2File(
        format="rosinality " + ("training" if "args" in content else "converted"),
        layout="rosinality",
        licence=MIT,
        generator=tensors(content, "g_ema"),
        discriminator=tensors(content, "d") if content.get("d") is not None else None,
        mean_latent=one_latent(content.get("latent_avg")),
        left_out=sorted(set(content) - {"g_ema", "d", "latent_avg"}),
    )


def from_psp(content: dict[str, Any]) -> StyleGAN2File:
    """A bundle of an encoder and rosinality's generator, ``decoder.*``."""
    state = tensors(content, "state_dict")
    others = {key.split(".")[0] + ".*" for key in state} - {"decoder.*"}
    options = content.get("opts")
    options = vars(options) if isinstance(options, argparse.Namespace) else options or {}
    return StyleGAN2File(
        format="pSp bundle",
        layout="rosinality",
        licence=MIT,
        generator=below(state, "decoder."),
        encoder=below(state, "encoder.") or None,
        relative_styles=options.get("start_from_latent_avg", True),
        mean_latent=one_latent(content.get("latent_avg")),
        left_out=sorted(others | set(content) - {"state_dict", "latent_avg"}),
    )


def from_lightning(content: dict[str, Any]) -> StyleGAN2File:
    """A checkpoint of our own method, whose generator is the averaged one."""
    state, arguments = tensors(content, "state_dict"), content.get("hyper_parameters", {})
    generator = below(state, "generator.")
    if "mean_latent" not in generator:
        name = arguments.get("_class_path", "another method")
        raise CheckpointError(f"it is a checkpoint of {name}, not of StyleGAN2")
    return StyleGAN2File(
        format="semsynth training",
        layout="semsynth",
        licence="That of the images it was trained on",
        mean_latent=generator.pop("mean_latent"),
        generator=generator,
        discriminator=below(state, "discriminator."),
        group_size=arguments.get("group_size", 4),
    )


def from_nvidia(content: Any) -> StyleGAN2File:
    """``G_ema`` and ``D`` of the ADA or StyleGAN3 repository."""
    if not isinstance(content, dict) or not isinstance(content.get("G_ema"), RecordedModule):
        raise CheckpointError("it is a pickle without NVIDIA's G_ema")
    G, D = content["G_ema"], content.get("D")
    generator = unconditional_state(G, "generator", "mapping.embed.")
    discriminator = unconditional_state(D, "discriminator", "mapping.") if D else None
    mapping = restricted_pickle.children(G).get("mapping") or G
    gains = restricted_pickle.values_of(mapping, "bias_gain") or {0.01}
    groups = (restricted_pickle.values_of(D, "group_size") if D else set()) or {4}
    if len(gains) > 1:
        raise CheckpointError(f"its mapping layers learn at different rates: {sorted(gains)}")
    if not isinstance(group_size := groups.pop(), int):
        raise CheckpointError("its discriminator compares whole batches (mbstd_group_size None)")
    return StyleGAN2File(
        format="NVIDIA pickle",
        layout="nvidia",
        licence=NVIDIA,
        mean_latent=one_latent(generator.pop("mapping.w_avg", None)),
        generator=generator,
        discriminator=discriminator,
        mapping_lr_multiplier=gains.pop(),
        group_size=group_size,
        left_out=sorted(set(content) - {"G_ema", "D"}),
    )


def unconditional_state(network: RecordedModule, name: str, conditional: str) -> dict[str, Tensor]:
    """State of one of NVIDIA's networks; ``conditional`` is a prefix that ours do not have."""
    state = restricted_pickle.state_dict(network)
    if any(re.match(r"synthesis\.(input\.|L\d+_)", key) for key in state):
        raise CheckpointError(
            "its generator is a StyleGAN3 network. Only StyleGAN2 networks can be imported"
        )
    if any(key.startswith(conditional) for key in state):
        raise CheckpointError(
            f"its {name} is conditional ({conditional}*); only unconditional networks can be "
            "imported"
        )
    if unknown := restricted_pickle.values_of(network, "activation") - {"lrelu", "linear"}:
        raise CheckpointError(f"the activation of its {name} is {unknown.pop()}, not lrelu")
    return state


def tensors(content: dict[str, Any], key: str) -> dict[str, Tensor]:
    """A state dict in a file."""
    state = content.get(key)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"{key} is not a state dict")
    return dict(state)


def below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def one_latent(mean: Any) -> Tensor | None:
    """The mean latent (w_dim,), which some files repeat for each layer."""
    if mean is None:
        return None
    if not isinstance(mean, Tensor) or mean.ndim not in (1, 2):
        raise CheckpointError("latent_avg is not a tensor of shape (w_dim,) or (num_ws, w_dim)")
    rows = mean.reshape(-1, mean.shape[-1])
    if not torch.allclose(rows, rows[:1].expand_as(rows)):
        raise CheckpointError("latent_avg differs from layer to layer; there must be one for all")
    return rows[0]
