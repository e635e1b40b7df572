"""What the tensors of StyleGAN2 are called in official checkpoints.

Layouts: ``rosinality`` (rosinality/stylegan2-pytorch, and pSp after its prefix), ``nvidia``
(stylegan2-ada-pytorch and stylegan3 repositories) and ``semsynth``, our own.
"""

from typing import Literal, NamedTuple

import torch

from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

Layout = Literal["rosinality", "nvidia", "semsynth"]


class Names(NamedTuple):
    """Where the tensors of a file belong.

    Attributes:
        tensors: Our name of each name in the file.
        filters: Gain of each FIR filter in the file, which must be [1, 3, 3, 1].
    """

    tensors: dict[str, str]
    filters: dict[str, float]


BOTH = ("weight", "bias")
# name in the file -> ours, within a layer
STYLED_CONV = {
    "rosinality": {
        "conv.weight": "conv.weight",
        "conv.modulation.weight": "conv.affine.weight",
        "conv.modulation.bias": "conv.affine.bias",
        "noise.weight": "noise_strength",
        "activate.bias": "bias",
    },
    "nvidia": {
        "weight": "conv.weight",
        "affine.weight": "conv.affine.weight",
        "affine.bias": "conv.affine.bias",
        "noise_strength": "noise_strength",
        "noise_const": "noise",
        "bias": "bias",
    },
}
TO_RGB = {
    "rosinality": {
        "conv.weight": "conv.weight",
        "conv.modulation.weight": "conv.affine.weight",
        "conv.modulation.bias": "conv.affine.bias",
        "bias": "bias",
    },
    "nvidia": {
        "weight": "conv.weight",
        "affine.weight": "conv.affine.weight",
        "affine.bias": "conv.affine.bias",
        "bias": "bias",
    },
}


def generator_names(layout: Layout, num_blocks: int, num_layers: int) -> Names:
    """Names of a generator, without its mean latent.

    Args:
        layout: Whose names they are.
        num_blocks: Resolutions from 4x4 upwards.
        num_layers: Layers of the mapping network.
    """
    if layout == "rosinality":
        return _rosinality_generator(num_blocks, num_layers)
    if layout == "nvidia":
        return _nvidia_generator(num_blocks, num_layers)
    with torch.device("meta"):
        network = StyleGAN2Generator(2 << num_blocks, mapping_layers=num_layers)
    return Names({k: k for k in network.state_dict() if k != "mean_latent"}, {})


def discriminator_names(layout: Layout, num_blocks: int) -> Names:
    """Names of a discriminator.

    Args:
        layout: Whose names they are.
        num_blocks: Resolutions from the image's down to 4x4.
    """
    if layout == "rosinality":
        return _rosinality_discriminator(num_blocks)
    if layout == "nvidia":
        return _nvidia_discriminator(num_blocks)
    with torch.device("meta"):
        network = StyleGAN2Discriminator(2 << num_blocks)
    return Names({k: k for k in network.state_dict()}, {})


def _layer(theirs: str, ours: str, leaves: dict[str, str]) -> dict[str, str]:
    return {f"{theirs}.{k}": f"{ours}.{v}" for k, v in leaves.items()}


def _rosinality_generator(num_blocks: int, num_layers: int) -> Names:
    conv, to_rgb = STYLED_CONV["rosinality"], TO_RGB["rosinality"]
    tensors = {"input.input": "synthesis.constant"}
    filters: dict[str, float] = {}
    for i in range(num_layers):  # their layer 0 is the normalisation
        tensors |= {f"style.{i + 1}.{k}": f"mapping.layers.{i}.{k}" for k in BOTH}
    tensors |= _layer("conv1", "synthesis.blocks.0.convs.0", conv)
    tensors |= _layer("to_rgb1", "synthesis.blocks.0.to_rgb", to_rgb)
    tensors["noises.noise_0"] = "synthesis.blocks.0.convs.0.noise"
    for i in range(num_blocks - 1):
        ours = f"synthesis.blocks.{i + 1}"
        for j in range(2):
            tensors |= _layer(f"convs.{2 * i + j}", f"{ours}.convs.{j}", conv)
            tensors[f"noises.noise_{2 * i + j + 1}"] = f"{ours}.convs.{j}.noise"
        tensors |= _layer(f"to_rgbs.{i}", f"{ours}.to_rgb", to_rgb)
        filters |= {f"convs.{2 * i}.conv.blur.kernel": 4.0, f"to_rgbs.{i}.upsample.kernel": 4.0}
    return Names(tensors, filters)


def _nvidia_generator(num_blocks: int, num_layers: int) -> Names:
    conv, to_rgb = STYLED_CONV["nvidia"], TO_RGB["nvidia"]
    tensors = {"synthesis.b4.const": "synthesis.constant"}
    filters: dict[str, float] = {}
    for i in range(num_layers):
        tensors |= {f"mapping.fc{i}.{k}": f"mapping.layers.{i}.{k}" for k in BOTH}
    for i in range(num_blocks):
        theirs, ours = f"synthesis.b{4 << i}", f"synthesis.blocks.{i}"
        convs = ["conv0", "conv1"] if i else ["conv1"]
        for j, name in enumerate(convs):
            tensors |= _layer(f"{theirs}.{name}", f"{ours}.convs.{j}", conv)
        tensors |= _layer(f"{theirs}.torgb", f"{ours}.to_rgb", to_rgb)
        for name in ["", *(f"{name}." for name in convs)]:
            filters[f"{theirs}.{name}resample_filter"] = 1.0
    return Names(tensors, filters)


def _rosinality_discriminator(num_blocks: int) -> Names:
    tensors = {"convs.0.0.weight": "from_rgb.weight", "convs.0.1.bias": "from_rgb.bias"}
    filters: dict[str, float] = {}
    for i in range(num_blocks - 1):
        theirs, ours = f"convs.{i + 1}", f"blocks.{i}"
        tensors |= {
            f"{theirs}.conv1.0.weight": f"{ours}.conv0.weight",
            f"{theirs}.conv1.1.bias": f"{ours}.conv0.bias",
            f"{theirs}.conv2.1.weight": f"{ours}.conv1.weight",
            f"{theirs}.conv2.2.bias": f"{ours}.conv1.bias",
            f"{theirs}.skip.1.weight": f"{ours}.skip.weight",
        }
        filters |= {f"{theirs}.conv2.0.kernel": 1.0, f"{theirs}.skip.0.kernel": 1.0}
    tensors |= {"final_conv.0.weight": "conv.weight", "final_conv.1.bias": "conv.bias"}
    tensors |= {f"final_linear.0.{k}": f"fc.{k}" for k in BOTH}
    tensors |= {f"final_linear.1.{k}": f"out.{k}" for k in BOTH}
    return Names(tensors, filters)


def _nvidia_discriminator(num_blocks: int) -> Names:
    first = f"b{2 << num_blocks}"
    tensors = {f"{first}.fromrgb.{k}": f"from_rgb.{k}" for k in BOTH}
    filters = {f"{first}.fromrgb.resample_filter": 1.0, "b4.conv.resample_filter": 1.0}
    for i in range(num_blocks - 1):
        theirs, ours = f"b{2 << (num_blocks - i)}", f"blocks.{i}"
        for name in ("conv0", "conv1"):
            tensors |= {f"{theirs}.{name}.{k}": f"{ours}.{name}.{k}" for k in BOTH}
        tensors[f"{theirs}.skip.weight"] = f"{ours}.skip.weight"
        for name in ("", "conv0.", "conv1.", "skip."):
            filters[f"{theirs}.{name}resample_filter"] = 1.0
    for name in ("conv", "fc", "out"):
        tensors |= {f"b4.{name}.{k}": f"{name}.{k}" for k in BOTH}
    return Names(tensors, filters)
