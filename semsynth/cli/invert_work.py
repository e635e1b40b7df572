"""Invert the photos of a folder, one file of codes for each, and go on where it was stopped."""

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from semsynth.cli.devices import choose_device
from semsynth.data.decode import read_image
from semsynth.data.pairs import list_images
from semsynth.inversion import default_recipe, invert, upstream_recipe
from semsynth.inversion.stored_codes import choose_distance, is_done, stored_notes, write_codes
from semsynth.inversion.terms import resize
from semsynth.weights.priors import fingerprint, load_generator

RECIPES = {"default": default_recipe, "upstream": upstream_recipe}


def invert_folder(options: argparse.Namespace) -> None:
    """Invert what is not done yet, then report on all photos."""
    steps = options.steps
    device = choose_device(options.device)
    files = list_images(options.images)
    recipe = RECIPES[options.recipe](*([] if steps is None else [steps]))
    recipe = replace(recipe, starts=options.starts)
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
                write_codes(options.out, stem, found, i, wanted[stem])
    report(options.out, list(files))


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
