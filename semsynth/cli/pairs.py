"""``semsynth pairs``: a cache of pairs for layout editing, by any number of processes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semsynth.cli.messages import require_at_least
from semsynth.errors import require_writable
from semsynth.files import write_tensors, write_text

if TYPE_CHECKING:
    from torch import Tensor

HALVES = ("features", "flow", "log_expansion")  # stored in float16
RECIPE = (  # arguments of the renderer
    *("num_tokens", "perturbation", "truncation", "feature_resolution", "canvas_size"),
    *("grid_size", "normalise_layers", "centred", "shared"),
)


def pairs(
    *,
    prior: str,
    num: int,
    out: Path,
    shard: str = "0/1",
    estimator: str = "dis",
    num_tokens: int = 6,
    perturbation: tuple[float, float] = (0.1, 0.1),
    truncation: float = 0.3,
    feature_resolution: int = 64,
    canvas_size: int | None = None,
    grid_size: int = 16,
    normalise_layers: bool = False,
    centred: bool = False,
    shared: bool = False,
    upstream_input: bool = False,
    seed: int = 0,
    batch_size: int = 16,
    device: str | None = None,
) -> None:
    """Render pairs of a prior's images with the motion between them.

    Many processes can write one cache, each its own part: --shard 0/4 to --shard 3/4. Rerun a
    command to resume it. Train on the cache with --data CachedPairs --data.root OUT and the same
    values of the method's arguments.

      semsynth pairs --prior toy_portrait --estimator toy_flow --num 20000 --out pairs

    Args:
        prior: A shipped one, or its safetensors file.
        num: Number of pairs.
        out: Where to write.
        shard: I/N, part I, from 0, of N parts.
        estimator: dis, toy_flow, raft_small, raft_large or a file.
        num_tokens: Latents that move.
        perturbation: Range of the fraction of the way that they move towards random ones.
        truncation: Truncation of the images.
        feature_resolution: Size of the features.
        canvas_size: Size at which motion is measured; the image's by default, at most 256.
        grid_size: Points per row and column.
        normalise_layers: Normalise z as the released code does.
        centred: Move latents around themselves, not towards random ones.
        shared: One random latent for all layers of an image.
        upstream_input: Feed the estimator as the released code does.
        seed: Seed of the pairs.
        batch_size: Pairs at a time.
        device: A GPU if there is one, else the CPU.
    """
    given = dict(locals())
    require_at_least(1, num=num, num_tokens=num_tokens, grid_size=grid_size, batch_size=batch_size)
    require_at_least(4, feature_resolution=feature_resolution)
    require_at_least(16, canvas_size=canvas_size)
    require_writable(out, "--out")
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from semsynth import __version__
    from semsynth.cli.preflight import choose_device
    from semsynth.data.generated_pairs import CHUNK, chunk_path
    from semsynth.editing.pairs import PairRenderer, default_canvas
    from semsynth.export.job import CARD, read_shard, stored_card
    from semsynth.networks.noise import sample_seed
    from semsynth.weights.estimators import load_motion_estimator
    from semsynth.weights.priors import fingerprint, load_generator

    part, parts = read_shard(shard)
    place = choose_device(device)
    generator = load_generator(prior).to(place)
    motion = load_motion_estimator(estimator, upstream_input)
    if isinstance(motion, torch.nn.Module):
        motion.to(place)
    recipe = {key: given[key] for key in RECIPE}
    recipe["canvas_size"] = canvas_size or default_canvas(generator)
    renderer = PairRenderer(generator, motion, **recipe)
    origin = {"prior": fingerprint(generator), "estimator": estimator}
    origin |= {"upstream_input": upstream_input} | recipe | {"perturbation": [*perturbation]}
    card = {
        "what": "pairs for layout editing",
        "origin": origin,
        "num": num,
        "seed": seed,
        "semsynth": __version__,
        "torch": torch.__version__,
        "command": command_of(given),
    }
    if stored_card(out, {key: card[key] for key in ("origin", "num", "seed")}) is None:
        write_text(out / CARD, json.dumps(card, indent=2) + "\n")
    chunks = range(math.ceil(num / CHUNK))
    todo = [c for c in chunks if c % parts == part and not chunk_path(out, c).is_file()]
    with Progress(console=Console(stderr=True)) as bar:
        for chunk in bar.track(todo, description="Rendering pairs"):
            ids = torch.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, num), device=place)
            seeds = sample_seed(seed, ids).split(batch_size)
            write_chunk(chunk_path(out, chunk), [renderer(one) for one in seeds])
    files = [chunk_path(out, chunk) for chunk in chunks]
    if all(file.is_file() for file in files):
        write_text(out / CARD, json.dumps(card | measured_scale(files), indent=2) + "\n")


def write_chunk(path: Path, batches: "list[dict[str, Tensor]]") -> None:
    """Write the pairs of a chunk, with the sums for the scale."""
    import torch

    from semsynth.editing.pairs import sums_of_squares

    stored = {key: torch.cat([batch[key] for batch in batches]).cpu() for key in batches[0]}
    squares, counts = sums_of_squares(stored)
    sums = {"squares": squares.tolist(), "counts": counts.tolist()}
    stored = {k: v.half() if k in HALVES else v for k, v in stored.items()}
    write_tensors(path, stored, {"sums": json.dumps(sums)})


def measured_scale(files: list[Path]) -> dict[str, float]:
    """Root mean squares of flow and log expansion over all pairs."""
    import torch
    from safetensors import safe_open

    squares, counts = torch.zeros(2, 2, dtype=torch.float64)
    for file in files:
        with safe_open(file, "pt") as content:
            sums = json.loads(content.metadata()["sums"])
        squares += torch.tensor(sums["squares"], dtype=torch.float64)
        counts += torch.tensor(sums["counts"], dtype=torch.float64)
    flow, expansion = (squares / counts.clamp(min=1)).sqrt().tolist()
    return {"sigma_flow": flow, "sigma_expansion": expansion}


def command_of(given: Mapping[str, Any]) -> str:
    """The command that writes all of these pairs."""
    words = ["semsynth pairs"]
    for name, value in given.items():
        if (
            name not in ("shard", "device", "batch_size")
            and value is not None
            and value is not False
        ):
            values = value if isinstance(value, tuple) else (value,) if value is not True else ()
            words += [f"--{name}", *map(str, values)]
    return " ".join(words)
