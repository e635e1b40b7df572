"""StyleGAN2 networks from official checkpoints: names, shapes, and nothing but straight copies.

Formats: rosinality/stylegan2-pytorch, which pSp and its descendants use too, and NVIDIA's
stylegan2-ada-pytorch and stylegan3 repositories. Every tensor of a file must be known and every one
that is needed must be there; a file that is not understood in full is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semsynth.interop import checkpoints
from semsynth.interop.checkpoints import Checkpoint, CheckpointError
from semsynth.interop.stylegan2_names import Names, discriminator_names, generator_names
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.networks.stylegan2.layers import fir_kernel

# what comes before the number of a resolution (rosinality numbers from the second) and of a layer
NUMBERED = {
    "rosinality": ("to_rgbs.", "style."),
    "nvidia": ("synthesis.b", "mapping.fc"),
    "semsynth": ("synthesis.blocks.", "mapping.layers."),
}
Network = TypeVar("Network", bound=nn.Module)
State = dict[str, Tensor]


@dataclass
class ImportedStyleGAN2:
    """Networks of a file.

    Attributes:
        generator: The averaged generator, with a mean latent.
        generator_arguments: Arguments of its constructor.
        discriminator: The discriminator, if the file has one.
        discriminator_arguments: Arguments of its constructor.
        mean_latent_estimated: Whether the file had no mean latent, so that it was estimated.
        source: The file's format, licence and what else it held.
    """

    generator: StyleGAN2Generator
    generator_arguments: dict[str, Any]
    discriminator: StyleGAN2Discriminator | None
    discriminator_arguments: dict[str, Any] | None
    mean_latent_estimated: bool
    source: Checkpoint


@checkpoints.refuses_the_rest
def import_stylegan2(path: Path) -> ImportedStyleGAN2:
    """Import the networks of a checkpoint.

    Args:
        path: A file of one of the formats that ``checkpoints`` knows.

    Raises:
        CheckpointError: The file is not understood in full; the message says what is in the way.
    """
    return import_networks(path, checkpoints.read(path))


def import_networks(path: Path, source: Checkpoint) -> ImportedStyleGAN2:
    """Import the networks of a checkpoint that has been read.

    Args:
        path: Where it was.
        source: Its tensors.

    Raises:
        CheckpointError: They are not understood in full; the message says what is in the way.
    """
    try:
        generator, generator_arguments = build_generator(source)
        discriminator, discriminator_arguments = build_discriminator(source, generator.image_size)
    except CheckpointError as error:
        raise CheckpointError(f"{path} ({source.format}): {error}") from error
    return ImportedStyleGAN2(
        generator=generator,
        generator_arguments=generator_arguments,
        discriminator=discriminator,
        discriminator_arguments=discriminator_arguments,
        mean_latent_estimated=source.mean_latent is None,
        source=source,
    )


def build_generator(source: Checkpoint) -> tuple[StyleGAN2Generator, dict[str, Any]]:
    """The generator of a file, its mean latent estimated if need be, and its arguments."""
    block, layer = NUMBERED[source.layout]
    num_blocks = count(source.generator, block) + (source.layout == "rosinality")
    num_layers = count(source.generator, layer)
    image_size = 2 << num_blocks
    if not num_layers or not 16 <= image_size <= 1024:
        raise CheckpointError(
            f"its generator has {num_layers} mapping layers and {num_blocks} resolutions; those "
            "here have 3 to 9 resolutions, for images from 16 to 1024"
        )
    names = generator_names(source.layout, num_blocks, num_layers)
    state, origin = rename(source.generator, names, "generator")
    biases = [f"synthesis.blocks.{i}.convs.{min(i, 1)}.bias" for i in range(num_blocks)]
    w_dim, z_dim = as_matrix(state["mapping.layers.0.weight"], origin["mapping.layers.0.weight"])
    base, limit = infer_channels([state[name].numel() for name in biases])
    arguments = {
        "image_size": image_size,
        "z_dim": z_dim,
        "w_dim": w_dim,
        "mapping_layers": num_layers,
        "channel_base": base,
        "channel_max": limit,
        "mapping_lr_multiplier": source.mapping_lr_multiplier,
    }
    mean = source.mean_latent
    state["mean_latent"] = torch.zeros(w_dim) if mean is None else mean
    origin["mean_latent"] = "the mean latent"
    generator = load_strictly(StyleGAN2Generator, arguments, state, origin)
    if mean is None:
        generator.estimate_mean_latent()
    return generator, arguments


def build_discriminator(
    source: Checkpoint, image_size: int
) -> tuple[StyleGAN2Discriminator | None, dict[str, Any] | None]:
    """The discriminator of a file, if it has one, and its arguments."""
    if source.discriminator is None:
        return None, None
    num_blocks = (image_size // 4).bit_length()
    names = discriminator_names(source.layout, num_blocks)
    state, origin = rename(source.discriminator, names, "discriminator")
    biases = ["from_rgb.bias", *(f"blocks.{i}.conv1.bias" for i in range(num_blocks - 1))]
    base, limit = infer_channels([state[name].numel() for name in biases][::-1])
    arguments = {
        "image_size": image_size,
        "channel_base": base,
        "channel_max": limit,
        "group_size": source.group_size,
    }
    return load_strictly(StyleGAN2Discriminator, arguments, state, origin), arguments


def count(state: State, prefix: str) -> int:
    """How many layers are numbered after a prefix."""
    return len({k.removeprefix(prefix).split(".")[0] for k in state if k.startswith(prefix)})


def as_matrix(weight: Tensor, name: str) -> tuple[int, int]:
    """Rows and columns of a linear layer."""
    if weight.ndim != 2:
        raise CheckpointError(f"{name} has shape {tuple(weight.shape)}, not that of a linear layer")
    return weight.shape[0], weight.shape[1]


def infer_channels(widths: list[int]) -> tuple[int, int]:
    """``channel_base`` and ``channel_max`` of the widths from 4x4 upwards.

    Widths are ``min(channel_max, channel_base // resolution)``, so a base is an integer in an
    interval for each of them; the least that all allow is taken.

    Raises:
        CheckpointError: No such pair gives these widths.
    """
    limit, resolutions = widths[0], [4 << i for i in range(len(widths))]
    least = [w * r for w, r in zip(widths, resolutions, strict=True)]
    most = [w * r + r - 1 for w, r in zip(widths, resolutions, strict=True) if w != limit]
    base = max(least)
    if max(widths) > limit or any(base > m for m in most):
        listed = ", ".join(f"{w} at {r}" for w, r in zip(widths, resolutions, strict=True))
        raise CheckpointError(
            f"its widths are {listed}; a network here has min(channel_max, channel_base / "
            "resolution) channels, which no channel_base and channel_max make of these"
        )
    return base, limit


def rename(state: State, names: Names, network: str) -> tuple[State, dict[str, str]]:
    """The tensors under our names, and the name in the file of each.

    Raises:
        CheckpointError: Tensors are missing or unknown, or a filter is not [1, 3, 3, 1].
    """
    needed = names.tensors.keys() | names.filters.keys()
    for what, keys in (("lacks", needed - state.keys()), ("has unknown", state.keys() - needed)):
        if keys:
            raise CheckpointError(f"its {network} {what} tensors: {listing(keys)}")
    for key, gain in names.filters.items():
        expected = fir_kernel(torch.zeros(1, 1), gain)[0, 0]
        if state[key].shape != expected.shape or not torch.allclose(state[key].float(), expected):
            raise CheckpointError(
                f"{key} is not the filter [1, 3, 3, 1], by which alone the networks here resample"
            )
    origin = {ours: theirs for theirs, ours in names.tensors.items()}
    return {ours: state[theirs] for ours, theirs in origin.items()}, origin


def listing(keys: Iterable[str]) -> str:
    """The first few of some names."""
    first = sorted(keys)
    more = f" and {len(first) - 5} more" if len(first) > 5 else ""
    return ", ".join(first[:5]) + more


def load_strictly(
    kind: type[Network], arguments: dict[str, Any], state: State, origin: dict[str, str]
) -> Network:
    """A network with the tensors of a file, which may differ by axes of length one.

    Raises:
        CheckpointError: A tensor has another shape, or numbers that are not finite.
    """
    with torch.device("meta"):  # no memory and no random numbers for what is replaced
        network = kind(**arguments)
    filled = {}
    for key, ours in network.state_dict().items():
        tensor = state[key].to(ours.dtype)
        if [n for n in tensor.shape if n != 1] != [n for n in ours.shape if n != 1]:
            raise CheckpointError(
                f"{origin[key]} has shape {tuple(tensor.shape)}, where the widths of the other "
                f"layers ask for {tuple(ours.shape)}"
            )
        if not tensor.isfinite().all():
            raise CheckpointError(f"{origin[key]} holds numbers that are not finite")
        filled[key] = tensor.reshape(ours.shape).clone()
    network.load_state_dict(filled, assign=True)
    return network
