"""Latent transformers of the released UserControllableLT: names, and fused projections split.

A file holds the transformer (``encoder.*``), a generator (``decoder.*``), options and the mean
latent. Every tensor of the transformer must be known and every one that is needed must be there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semsynth.interop.checkpoints import (
    CheckpointError,
    below,
    load_torch,
    refuses_the_rest,
    tensors,
)
from semsynth.interop.stylegan2 import (
    ImportedStyleGAN2,
    as_matrix,
    count,
    import_stylegan2,
    listing,
    load_strictly,
)
from semsynth.networks.motion.latent_transformer import LatentTransformer

State = dict[str, Tensor]
HEAD_DIM = 64  # of all released files; the shapes do not tell it

SIGMAS = {
    "ffhq": (4.0, 0.02),
    "car": (5.0, 0.03),
    "cat": (12.0, 0.04),
    "church": (8.0, 0.02),
    "anime": (7.0, 0.025),
}
"""Units of motion, in pixels and log expansion, by data set (``training/coach.py``)."""

RENAMED = {
    "embed_motion": "layer1",
    "embed_feature": "layer2",
    "embed_mark": "layer3",
    "embed_latent": "layer4",
    "head": "mlp_head.0",
}


@dataclass
class ImportedLatentTransformer:
    """What a released file holds.

    Attributes:
        prior: The generator.
        transformer: The transformer.
        arguments: Those arguments of ``UserControllableLT`` that its shapes tell.
    """

    prior: ImportedStyleGAN2
    transformer: LatentTransformer
    arguments: dict[str, int]


@refuses_the_rest
def import_latent_transformer(path: Path) -> ImportedLatentTransformer:
    """Import a released checkpoint.

    Raises:
        CheckpointError: The file is not understood in full; the message says what is in the way.
    """
    prior = import_stylegan2(path)
    try:
        content: Any = load_torch(path)
        state = below(tensors(content, "state_dict"), "encoder.")
        network, arguments = build(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return ImportedLatentTransformer(prior, network, arguments)


def build(theirs: State) -> tuple[LatentTransformer, dict[str, int]]:
    """The transformer of released tensors, and its sizes."""
    depth = count(theirs, "transformer_encoder.layers.")
    names = official_names(depth)
    for what, keys in (("lacks", names - theirs.keys()), ("has unknown", theirs.keys() - names)):
        if keys or not depth:
            raise CheckpointError(f"its transformer {what} tensors: {listing(keys)}")
    position = theirs["transformer_decoder.pos_embedding"]
    dim, w_dim = as_matrix(theirs["layer4.weight"], "layer4.weight")
    feature_channels = as_matrix(theirs["layer2.weight"], "layer2.weight")[1]
    inner = theirs["transformer_encoder.layers.0.0.fn.to_qkv.weight"].shape[0] // 3
    mlp_dim = theirs["transformer_encoder.layers.0.1.fn.net.0.bias"].numel()
    sizes = {
        "num_tokens": position.shape[1],
        "dim": dim,
        "depth": depth,
        "num_heads": inner // HEAD_DIM,
        "head_dim": HEAD_DIM,
        "mlp_dim": mlp_dim,
    }
    ours, origin = convert(theirs, depth)
    arguments = {**sizes, "w_dim": w_dim, "feature_channels": feature_channels}
    return load_strictly(LatentTransformer, arguments, ours, origin), sizes


def official_names(depth: int) -> set[str]:
    """Names of all tensors of a released transformer."""
    leaves = ("weight", "bias")
    names = {f"{theirs}.{leaf}" for theirs in RENAMED.values() for leaf in leaves}
    names.add("transformer_decoder.pos_embedding")
    for stack, parts in (("encoder", "am"), ("decoder", "acm")):
        for i in range(depth):
            for j, part in enumerate(parts):
                layer = f"transformer_{stack}.layers.{i}.{j}"
                both = ["norm", *(["fn.net.0", "fn.net.3"] if part == "m" else ["fn.to_out.0"])]
                names |= {f"{layer}.{name}.{leaf}" for name in both for leaf in leaves}
                single = {"a": ["to_qkv"], "c": ["to_q", "to_k", "to_v"], "m": []}[part]
                names |= {f"{layer}.fn.{name}.weight" for name in single}
    return names


def convert(theirs: State, depth: int) -> tuple[State, dict[str, str]]:
    """The tensors under our names, and where each comes from."""
    ours: State = {"position": theirs["transformer_decoder.pos_embedding"]}
    origin = {"position": "transformer_decoder.pos_embedding"}

    def copy(name: str, source: str, leaves: tuple[str, ...] = ("weight", "bias")) -> None:
        for leaf in leaves:
            ours[f"{name}.{leaf}"] = theirs[f"{source}.{leaf}"]
            origin[f"{name}.{leaf}"] = f"{source}.{leaf}"

    def attention(name: str, source: str, fused: bool) -> None:
        copy(f"{name}.to_out", f"{source}.to_out.0")
        if fused:
            q, k, v = theirs[f"{source}.to_qkv.weight"].chunk(3)
        else:
            q, k, v = (theirs[f"{source}.to_{x}.weight"] for x in "qkv")
        ours[f"{name}.to_q.weight"] = q
        ours[f"{name}.to_kv.weight"] = torch.cat([k, v])
        for leaf in ("to_q.weight", "to_kv.weight"):
            origin[f"{name}.{leaf}"] = f"{source}.to_{'qkv' if fused else leaf[3:-7]}.weight"

    def feed_forward(name: str, layer: str) -> None:
        for i, source in ((0, "norm"), (1, "fn.net.0"), (3, "fn.net.3")):
            copy(f"{name}.{i}", f"{layer}.{source}")

    for name, source in RENAMED.items():
        copy(name, source)
    for i in range(depth):
        encoder, layer = f"encoder.{i}", f"transformer_encoder.layers.{i}"
        copy(f"{encoder}.norm", f"{layer}.0.norm")
        attention(f"{encoder}.attention", f"{layer}.0.fn", fused=True)
        feed_forward(f"{encoder}.feed_forward", f"{layer}.1")
        decoder, layer = f"decoder.{i}", f"transformer_decoder.layers.{i}"
        copy(f"{decoder}.self_norm", f"{layer}.0.norm")
        attention(f"{decoder}.self_attention", f"{layer}.0.fn", fused=True)
        copy(f"{decoder}.cross_norm", f"{layer}.1.norm")
        attention(f"{decoder}.cross_attention", f"{layer}.1.fn", fused=False)
        feed_forward(f"{decoder}.feed_forward", f"{layer}.2")
    return ours, origin
