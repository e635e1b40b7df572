"""Invert the photos of a folder, one file of codes for each, and go on where it was stopped."""

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from semsynth.data.decode import read_image
from semsynth.data.pairs import list_images
from semsynth.images import save_png, to_uint8
from semsynth.inversion import Distance, default_recipe, invert, upstream_recipe
from semsynth.inversion.search import Inversion
from semsynth.inversion.terms import resize
from semsynth.metrics.perceptual import build_taps, tap_distance
from semsynth.priors import find_prior, fingerprint, load_generator, read_card
from semsynth.weights import MissingWeightsError

RECIPES = {"default": default_recipe, "upstream": upstream_recipe}


def invert_folder(options: argparse.Namespace) -> None:
    """Invert what is not done yet, then report on all photos."""
    steps = options.steps
    if options.batch_size < 1 or (steps is not None and steps < 2):
        raise ValueError("--batch_size must be at least 1 and --steps at least 2.")
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    files = list_images(options.images)
    recipe = RECIPES[options.recipe](*([] if steps is None else [steps]))
    name, distance = choose_distance(options.perceptual, options.prior, device)
    generator = load_generator(options.prior).to(device)
    made_by = {
        "prior": fingerprint(generator),
        "recipe": json.dumps(asdict(recipe)),
        "perceptual": name,
        "seed": str(options.seed),
    }
    wanted = {stem: made_by | {"image": digest(file)} for stem, file in files.items()}
    codes = {stem: options.out / f"{stem}.safetensors" for stem in files}
    todo = [stem for stem in files if not is_done(codes[stem], wanted[stem])]
    console = Console(stderr=True)
    console.print(
        f"{len(files)} photos, {len(files) - len(todo)} done already; perceptual distance: {name}."
    )
    with Progress(console=console) as bar:
        total = sum(steps for _, steps in recipe.stages) * len(todo)
        task = bar.add_task("Inverting", total=total)
        for stems in batches(todo, options.batch_size):
            images = [read(files[stem], generator.image_size) for stem in stems]
            found = invert(
                generator,
                torch.stack(images).to(device),
                recipe,
                distance,
                options.seed,
                torch.tensor([identity(stem) for stem in stems], device=device),
                lambda step, losses: bar.advance(task, len(losses)),
            )
            for i, stem in enumerate(stems):
                write(options.out, stem, found, i, wanted[stem])
    report(options.out, list(files))


def choose_distance(name: str, prior: str, device: str) -> tuple[str, Distance | None]:
    """The perceptual distance that is asked for, and what it is called."""
    if name == "auto":
        features = read_card(find_prior(prior)).get("features")
        for candidate in filter(None, ("alex", features)):
            try:
                return choose_distance(candidate, prior, device)
            except MissingWeightsError:
                continue
        name = "none"
    if name == "none":
        return name, None
    network = build_taps(name).to(device)

    def distance(image: Tensor, target: Tensor) -> Tensor:
        return tap_distance(network.taps(image), network.taps(target)).float()

    return name, distance


def read(file: Path, size: int) -> Tensor:
    """A photo (3, size, size) in [-1, 1]; the aspect ratio is not kept, as in the papers."""
    image = read_image(file).float() / 127.5 - 1
    return resize(image[None], size)[0]


def identity(stem: str) -> int:
    """A number for a photo, the same in every batch and folder."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:7], "big")


def digest(file: Path) -> str:
    """Hash of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def batches(stems: list[str], size: int) -> Iterator[list[str]]:
    """Consecutive groups of at most ``size``."""
    for start in range(0, len(stems), size):
        yield stems[start : start + size]


def stored_notes(file: Path) -> dict[str, str]:
    """The notes in a file of codes; none if it is missing or damaged."""
    try:
        with safe_open(file, "pt") as opened:
            return opened.metadata() or {}
    except (OSError, SafetensorError):
        return {}


def is_done(file: Path, wanted: dict[str, str]) -> bool:
    """Whether a file holds the codes of this photo, made in this way."""
    notes = stored_notes(file)
    return all(notes.get(key) == value for key, value in wanted.items())


def write(out: Path, stem: str, found: Inversion, i: int, notes: dict[str, str]) -> None:
    """Write the codes of one photo and the image that they make."""
    out.mkdir(parents=True, exist_ok=True)
    save_png(to_uint8(found.image[i]), out / f"{stem}.png")
    tensors = {"codes": found.w_plus[i : i + 1].cpu().contiguous()}
    if not isinstance(found.noise, str):
        for level, noise in enumerate(found.noise):
            tensors[f"noise_{level:02d}"] = noise[i : i + 1].cpu().contiguous()
    errors = {"mse": f"{found.mse[i]:.6f}", "distance": f"{found.perceptual[i]:.6f}"}
    temporary = out / f".{stem}.part"
    save_file(tensors, temporary, metadata=notes | errors)
    temporary.replace(out / f"{stem}.safetensors")


def report(out: Path, stems: list[str]) -> None:
    """Print the errors, the largest first, and write them to ``inversion.json``."""
    notes = {stem: stored_notes(out / f"{stem}.safetensors") for stem in stems}
    errors: dict[str, dict[str, Any]] = {
        stem: {key: float(n[key]) for key in ("mse", "distance")} for stem, n in notes.items()
    }
    table = Table("photo", "mean squared error", "perceptual distance")
    for stem in sorted(errors, key=lambda s: -errors[s]["mse"])[:20]:
        table.add_row(stem, f"{errors[stem]['mse']:.4f}", f"{errors[stem]['distance']:.4f}")
    mean = [sum(e[key] for e in errors.values()) / len(errors) for key in ("mse", "distance")]
    table.add_row("mean", f"{mean[0]:.4f}", f"{mean[1]:.4f}")
    Console().print(table)
    text = json.dumps(errors, indent=2).replace("NaN", "null")
    temporary = out / ".inversion.json.part"
    temporary.write_text(text + "\n")
    temporary.replace(out / "inversion.json")
