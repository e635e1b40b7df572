"""StyleGAN2 networks from official checkpoints: names, shapes, and exact copies.

Formats: rosinality/stylegan2-pytorch, which pSp and its descendants use too, and NVIDIA's
stylegan2-ada-pytorch and stylegan3 repositories.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semsynth.interop import checkpoints
from semsynth.interop.checkpoints import CheckpointError, StyleGAN2File, naming
from semsynth.interop.stylegan2_names import discriminator_names, generator_names
from semsynth.interop.tensors import count, load_strictly, names_of, official_name, rename, shape_of
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

# what comes before the number of a resolution (rosinality numbers from the second) and of a layer
NUMBERED = {
    "rosinality": ("to_rgbs.", "style."),
    "nvidia": ("synthesis.b", "mapping.fc"),
    "semsynth": ("synthesis.blocks.", "mapping.layers."),
}


@dataclass
class ImportedStyleGAN2:
    """Networks of a file.

    Attributes:
        generator: The averaged generator, with a mean latent.
        generator_arguments: Arguments of its constructor.
        discriminator: The discriminator, if the file has one.
        discriminator_arguments: Arguments of its constructor.
        mean_latent_estimated: Whether the mean latent was estimated, as the file has none.
        source: The file's format, licence and other contents.
    """

    generator: StyleGAN2Generator
    generator_arguments: dict[str, Any]
    discriminator: StyleGAN2Discriminator | None
    discriminator_arguments: dict[str, Any] | None
    mean_latent_estimated: bool
    source: StyleGAN2File


@checkpoints.refuses_the_rest
def import_stylegan2(path: Path) -> ImportedStyleGAN2:
    """Import the networks of a checkpoint; unknown contents are refused."""
    return import_networks(path, checkpoints.read(path))


def import_networks(path: Path, source: StyleGAN2File) -> ImportedStyleGAN2:
    """Import the networks of a checkpoint that has been read from a path."""
    with naming(f"{path} ({source.format})"):
        generator = build_generator(source)
        discriminator = build_discriminator(source, generator[0].image_size)
    return ImportedStyleGAN2(*generator, *discriminator, source.mean_latent is None, source)


def build_generator(source: StyleGAN2File) -> tuple[StyleGAN2Generator, dict[str, Any]]:
    """The generator of a file, its mean latent estimated if missing, and its arguments."""
    block, layer = NUMBERED[source.layout]
    num_blocks = count(source.generator, block) + (source.layout == "rosinality")
    num_layers = count(source.generator, layer)
    image_size = 2 << num_blocks
    if not num_layers or not 16 <= image_size <= 1024:
        raise CheckpointError(
            f"its generator has {num_layers} mapping layers and {num_blocks} resolutions; those "
            "here have 3 to 9 resolutions, for images from 16 to 1024"
        )
    rules, filters = generator_names(source.layout, num_blocks, num_layers)
    ours = names_of(StyleGAN2Generator, image_size=image_size, mapping_layers=num_layers)
    ours.remove("mean_latent")
    state = rename(source.generator, ours, rules, "generator", filters)
    biases = [f"synthesis.blocks.{i}.convs.{min(i, 1)}.bias" for i in range(num_blocks)]
    first = official_name("mapping.layers.0.weight", rules)
    w_dim, z_dim = shape_of(source.generator, first, 2)
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
    generator = load_strictly(StyleGAN2Generator, arguments, state, rules)
    if mean is None:
        generator.estimate_mean_latent()
    return generator, arguments


def build_discriminator(
    source: StyleGAN2File, image_size: int
) -> tuple[StyleGAN2Discriminator | None, dict[str, Any] | None]:
    """The discriminator of a file, if it has one, and its arguments."""
    if source.discriminator is None:
        return None, None
    num_blocks = (image_size // 4).bit_length()
    rules, filters = discriminator_names(source.layout, num_blocks)
    ours = names_of(StyleGAN2Discriminator, image_size=image_size)
    state = rename(source.discriminator, ours, rules, "discriminator", filters)
    biases = ["from_rgb.bias", *(f"blocks.{i}.conv1.bias" for i in range(num_blocks - 1))]
    base, limit = infer_channels([state[name].numel() for name in biases][::-1])
    arguments = {
        "image_size": image_size,
        "channel_base": base,
        "channel_max": limit,
        "group_size": source.group_size,
    }
    return load_strictly(StyleGAN2Discriminator, arguments, state, rules), arguments


def infer_channels(widths: list[int]) -> tuple[int, int]:
    """``channel_base`` and ``channel_max`` of the widths from 4x4 upwards.

    Widths are ``min(channel_max, channel_base // resolution)``, so a base is an integer in an
    interval for each of them; the least that all allow is taken.
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
