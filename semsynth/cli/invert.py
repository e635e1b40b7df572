"""``semsynth invert``: the latents of photos, one file of codes for each."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from semsynth.cli.messages import require_at_least
from semsynth.errors import require_writable
from semsynth.files import write_text


def invert(
    *,
    prior: str,
    images: Path,
    out: Path,
    recipe: Literal["default", "upstream"] = "default",
    steps: int | None = None,
    starts: int = 1,
    perceptual: str = "auto",
    tune: int = 0,
    batch_size: int = 8,
    seed: int = 0,
    device: str | None = None,
) -> None:
    """Find the latents of photos by optimisation.

    Each photo NAME gives OUT/NAME.safetensors with codes (1, num_ws, w_dim) and its noise maps, as
    FewShotFolder reads them from ROOT/train/codes, and the image that they make as OUT/NAME.png.
    Rerun it with the same options to resume.

    --tune 300 also fits the generator itself to each photo (pivotal tuning), several times closer:
    OUT/tuned/NAME.safetensors has the small difference of its weights, which
    ``semsynth edit --codes OUT/NAME.safetensors`` applies. The noise maps are then the stored ones.

    Args:
        prior: A shipped one, or its safetensors file.
        images: Directory of the photos.
        out: Where to write.
        recipe: In W, then in W+ with noise maps; or as the released code of FewShotSMIS.
        steps: Steps; 1000 by default, 2000 for upstream.
        starts: Initial latents; the best is kept.
        perceptual: Distance beside that of pixels: alex, vgg, toy_portrait, a segmenter's file, or
            none. auto is alex if its weights are cached, else as the prior's card says, else none.
        tune: Steps that fit the generator to each photo; 0 leaves it.
        batch_size: Photos at a time.
        seed: Seed of start and noise.
        device: A GPU if there is one, else the CPU.
    """
    require_at_least(2, steps=steps)
    require_at_least(1, starts=starts, batch_size=batch_size)
    require_at_least(0, tune=tune)
    require_writable(out, "--out")
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from semsynth import inversion
    from semsynth.cli.preflight import choose_device
    from semsynth.data.decode import read_image
    from semsynth.data.pairs import list_images
    from semsynth.images import from_uint8
    from semsynth.inversion import tuning
    from semsynth.inversion.stored_codes import choose_distance, is_done, write_codes
    from semsynth.inversion.terms import resize
    from semsynth.weights.download import sha256_of
    from semsynth.weights.priors import fingerprint, load_generator

    place = choose_device(device)
    files = list_images(images)
    made = inversion.default_recipe if recipe == "default" else inversion.upstream_recipe
    chosen = replace(made() if steps is None else made(steps), starts=starts)
    if tune:
        chosen = replace(chosen, noise="stored")  # noise maps of one image would not move with it
    name, distance = choose_distance(perceptual, prior, place)
    generator = load_generator(prior).to(place)
    made_by = {
        "prior": fingerprint(generator),
        "recipe": json.dumps(asdict(chosen)),
        "perceptual": name,
        "seed": str(seed),
    } | ({"tune": str(tune)} if tune else {})
    wanted = {stem: made_by | {"image": sha256_of(file)} for stem, file in files.items()}
    todo = [stem for stem in files if not is_done(out / f"{stem}.safetensors", wanted[stem])]
    console = Console(stderr=True)
    console.print(
        f"{len(files)} photos, {len(files) - len(todo)} done already; perceptual distance: {name}."
    )
    with Progress(console=console) as bar:
        total = (sum(count for _, count in chosen.stages) + tune) * len(todo)
        task = bar.add_task("Inverting", total=total)
        for start in range(0, len(todo), batch_size):
            stems = todo[start : start + batch_size]
            # the aspect ratio is not kept, as in the papers
            photos = [
                resize(from_uint8(read_image(files[stem]))[None], generator.image_size)
                for stem in stems
            ]
            batch = torch.cat(photos).to(place)
            found = inversion.invert(
                generator,
                batch,
                chosen,
                distance,
                seed,
                torch.tensor([identity(stem) for stem in stems], device=place),
                lambda step, losses: bar.advance(task, len(losses)),
            )
            for i, stem in enumerate(stems):
                if tune:
                    advance = lambda done, steps: bar.advance(task)  # noqa: E731
                    factors = tuning.tune_to(generator, found, i, batch, distance, tune, advance)
                    path = out / tuning.FOLDER / f"{stem}.safetensors"
                    tuning.write_difference(path, factors, generator)
                write_codes(out, stem, found, i, wanted[stem])
    report(out, list(files))


def identity(stem: str) -> int:
    """A number of a photo, the same in every batch and folder."""
    return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:7], "big")


def report(out: Path, stems: list[str]) -> None:
    """Print the errors, the largest first, and write them to ``inversion.json``."""
    from rich.console import Console
    from rich.table import Table

    from semsynth.inversion.stored_codes import stored_notes

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
    write_text(out / "inversion.json", json.dumps(errors, indent=2).replace("NaN", "null") + "\n")
    print(f"Latents and errors: {out}")
