"""Latent transformers of the released UserControllableLT: names, and fused projections split.

A file holds the transformer (``encoder.*``), a generator (``decoder.*``), options and the mean
latent.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from semsynth.interop.checkpoints import below, load_torch, naming, refuses_the_rest, tensors
from semsynth.interop.stylegan2 import ImportedStyleGAN2, import_stylegan2
from semsynth.interop.tensors import State, count, load_strictly, names_of, rename, shape_of
from semsynth.networks.motion.latent_transformer import LatentTransformer

HEAD_DIM = 64  # of all released files; not determined by the shapes

SIGMAS = {
    "ffhq": (4.0, 0.02),
    "car": (5.0, 0.03),
    "cat": (12.0, 0.04),
    "church": (8.0, 0.02),
    "anime": (7.0, 0.025),
}
"""Units of motion, in pixels and log expansion, by data set (``training/coach.py``)."""

ENCODER, DECODER = r"transformer_encoder.layers.\1.", r"transformer_decoder.layers.\1."
RULES = (
    (r"^position$", "transformer_decoder.pos_embedding"),
    (r"^embed_motion\.", "layer1."),
    (r"^embed_feature\.", "layer2."),
    (r"^embed_mark\.", "layer3."),
    (r"^embed_latent\.", "layer4."),
    (r"^head\.", "mlp_head.0."),
    (r"\.feed_forward\.0\.", ".feed_forward.norm."),
    (r"\.feed_forward\.1\.", ".feed_forward.fn.net.0."),
    (r"\.feed_forward\.3\.", ".feed_forward.fn.net.3."),
    (r"\.to_out\.", ".to_out.0."),
    (r"^encoder\.(\d+)\.norm\.", ENCODER + "0.norm."),
    (r"^encoder\.(\d+)\.attention\.", ENCODER + "0.fn."),
    (r"^encoder\.(\d+)\.feed_forward\.", ENCODER + "1."),
    (r"^decoder\.(\d+)\.self_norm\.", DECODER + "0.norm."),
    (r"^decoder\.(\d+)\.self_attention\.", DECODER + "0.fn."),
    (r"^decoder\.(\d+)\.cross_norm\.", DECODER + "1.norm."),
    (r"^decoder\.(\d+)\.cross_attention\.", DECODER + "1.fn."),
    (r"^decoder\.(\d+)\.feed_forward\.", DECODER + "2."),
)


@dataclass
class ImportedLatentTransformer:
    """Contents of a released file, and the ``arguments`` of its method, from the shapes."""

    prior: ImportedStyleGAN2
    transformer: LatentTransformer
    arguments: dict[str, int]


@refuses_the_rest
def import_latent_transformer(path: Path) -> ImportedLatentTransformer:
    """Import a released checkpoint; unknown contents are refused."""
    prior = import_stylegan2(path)
    with naming(path):
        content = load_torch(path)
        network, arguments = build(below(tensors(content, "state_dict"), "encoder."))
    return ImportedLatentTransformer(prior, network, arguments)


def build(theirs: State) -> tuple[LatentTransformer, dict[str, int]]:
    """The transformer of released tensors, and its sizes."""
    layer = "transformer_encoder.layers.0"
    dim, w_dim = shape_of(theirs, "layer4.weight", 2)
    sizes = {
        "num_tokens": shape_of(theirs, "transformer_decoder.pos_embedding", 3)[1],
        "dim": dim,
        "depth": count(theirs, "transformer_encoder.layers."),
        "num_heads": shape_of(theirs, f"{layer}.0.fn.to_qkv.weight", 2)[0] // 3 // HEAD_DIM,
        "head_dim": HEAD_DIM,
        "mlp_dim": shape_of(theirs, f"{layer}.1.fn.net.0.bias", 1)[0],
    }
    features = shape_of(theirs, "layer2.weight", 2)[1]
    arguments = {**sizes, "w_dim": w_dim, "feature_channels": features}
    ours = rename(split(theirs), names_of(LatentTransformer, **arguments), RULES, "transformer")
    return load_strictly(LatentTransformer, arguments, ours, RULES), sizes


def split(theirs: State) -> State:
    """Released tensors with the projections of attention as here: ``to_q`` and ``to_kv``."""
    state = dict(theirs)
    for key in theirs:
        stem = key.removesuffix("qkv.weight").removesuffix("k.weight")
        if key.endswith(".to_qkv.weight"):
            q, k, v = state.pop(key).chunk(3)
            state[f"{stem}q.weight"], state[f"{stem}kv.weight"] = q, torch.cat([k, v])
        elif key.endswith(".to_k.weight") and f"{stem}v.weight" in theirs:
            k, v = state.pop(key), state.pop(f"{stem}v.weight")
            state[f"{stem}kv.weight"] = torch.cat([k, v])
    return state
