"""Write a cache of pairs in files of a few, by any number of processes that may be killed."""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from semsynth import __version__
from semsynth.cli.devices import choose_device
from semsynth.data.errors import DataError
from semsynth.data.generated_pairs import CHUNK, chunk_path
from semsynth.editing.pairs import PairRenderer, default_canvas, sums_of_squares
from semsynth.export.sharding import read_shard
from semsynth.networks.noise import sample_seed
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import fingerprint, load_generator

HALVES = ("features", "flow", "log_expansion")
"""What is stored in float16."""


def write_pairs(options: argparse.Namespace) -> None:
    """Write the chunks of this part that are not there; the last process completes the card.

    Raises:
        DataError: The directory holds other pairs.
        MissingWeightsError: There is no such prior or estimator.
        ValueError: An argument makes no sense.
    """
    part, parts = read_shard(options.shard)
    device = choose_device(options.device)
    renderer, origin = build_renderer(options, device)
    card = {
        "what": "pairs for layout editing",
        "origin": origin,
        "num": options.num,
        "seed": options.seed,
        "semsynth": __version__,
        "torch": torch.__version__,
        "command": command_of(options),
    }
    start_card(options.out, card)
    chunks = range(math.ceil(options.num / CHUNK))
    todo = [c for c in chunks if c % parts == part and not chunk_path(options.out, c).is_file()]
    with Progress(console=Console(stderr=True)) as bar:
        for chunk in bar.track(todo, description="Rendering pairs"):
            ids = range(chunk * CHUNK, min((chunk + 1) * CHUNK, options.num))
            index = torch.tensor(ids, device=device)
            seeds = sample_seed(options.seed, index).split(options.batch_size)
            write_chunk(chunk_path(options.out, chunk), [renderer(seed) for seed in seeds])
    files = [chunk_path(options.out, chunk) for chunk in chunks]
    if all(file.is_file() for file in files):
        write_card(options.out, card | measured_scale(files))


def build_renderer(
    options: argparse.Namespace, device: torch.device
) -> tuple[PairRenderer, dict[str, Any]]:
    """What renders the pairs, and what it depends on, as the method tells it too."""
    generator = load_generator(options.prior).to(device)
    estimator = load_motion_estimator(options.estimator, options.upstream_input)
    if isinstance(estimator, nn.Module):
        estimator.to(device)
    recipe = {
        "num_tokens": options.num_tokens,
        "perturbation": options.perturbation,
        "truncation": options.truncation,
        "feature_resolution": options.feature_resolution,
        "canvas_size": options.canvas_size or default_canvas(generator),
        "grid_size": options.grid_size,
        "normalise_layers": options.normalise_layers,
        "centred": options.centred,
        "shared": options.shared,
    }
    origin = {
        "prior": fingerprint(generator),
        "estimator": options.estimator,
        "upstream_input": options.upstream_input,
        **recipe,
    }
    return PairRenderer(generator, estimator, **recipe), origin


def start_card(root: Path, card: dict[str, Any]) -> None:
    """Write the card before the first pair, or see that the one there says the same.

    Raises:
        DataError: It says something else.
    """
    file = root / "card.json"
    if not file.is_file():
        write_card(root, card)
        return
    stored = json.loads(file.read_text())
    for key in ("origin", "num", "seed"):
        if stored.get(key) != card[key]:
            raise DataError(
                f"{root} holds pairs with {key} {stored.get(key)}, not {card[key]}; write these to "
                "another directory."
            )


def write_card(root: Path, card: dict[str, Any]) -> None:
    """Write ``card.json`` under a name of this process, then rename it."""
    root.mkdir(parents=True, exist_ok=True)
    temporary = root / f".card.json.{os.getpid()}.part"
    temporary.write_text(json.dumps(card, indent=2) + "\n")
    temporary.replace(root / "card.json")


def write_chunk(path: Path, batches: list[dict[str, Tensor]]) -> None:
    """Write the pairs of a chunk, with the sums that the scale needs."""
    pairs = {key: torch.cat([batch[key] for batch in batches]).cpu() for key in batches[0]}
    squares, counts = sums_of_squares(pairs)
    sums = {"squares": squares.tolist(), "counts": counts.tolist()}
    stored = {k: v.half() if k in HALVES else v for k, v in pairs.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(
        save({k: v.contiguous() for k, v in stored.items()}, {"sums": json.dumps(sums)})
    )
    temporary.replace(path)


def measured_scale(files: list[Path]) -> dict[str, float]:
    """Root mean squares of flow and log expansion over all pairs."""
    squares, counts = torch.zeros(2, 2, dtype=torch.float64)
    for file in files:
        with safe_open(file, "pt") as content:
            sums = json.loads(content.metadata()["sums"])
        squares += torch.tensor(sums["squares"], dtype=torch.float64)
        counts += torch.tensor(sums["counts"], dtype=torch.float64)
    flow, expansion = (squares / counts.clamp(min=1)).sqrt().tolist()
    return {"sigma_flow": flow, "sigma_expansion": expansion}


def command_of(options: argparse.Namespace) -> str:
    """The command that writes these pairs, whole."""
    left_out = ("shard", "device", "batch_size")
    words = ["semsynth pairs"]
    for name, value in vars(options).items():
        if name in left_out or value is None or value is False:
            continue
        words.append(f"--{name}")
        if value is not True:
            words += map(str, value) if isinstance(value, list) else [str(value)]
    return " ".join(words)
