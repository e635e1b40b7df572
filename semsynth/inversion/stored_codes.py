"""Files of codes from inversion, with their recipe and errors."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.progress import Progress
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from semsynth.files import read_tensors, write_tensors
from semsynth.images import save_png, to_uint8
from semsynth.inversion import Distance, Recipe, invert
from semsynth.inversion.search import Inversion
from semsynth.metrics.perceptual import build_taps, tap_distance
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import MissingWeightsError, home
from semsynth.weights.priors import find_prior, fingerprint, read_card

SEED = 0  # of start and noise


@dataclass
class StoredCodes:
    """Codes of images, from files or new.

    Attributes:
        w_plus: Latents (B, num_ws, w_dim).
        mse: Mean squared error of each (B,).
        distance: Perceptual distance of each (B,); NaN without one.
        files: Their files, with the reconstruction beside each as ``.png``.
    """

    w_plus: Tensor
    mse: Tensor
    distance: Tensor
    files: list[Path]


def choose_distance(
    name: str, prior: str, device: str | torch.device
) -> tuple[str, Distance | None]:
    """Name and function of a perceptual distance; ``auto`` is the first with cached weights."""
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


def invert_once(
    generator: StyleGAN2Generator,
    image: Tensor,
    recipe: Recipe,
    perceptual: str,
    distance: Distance | None,
    directory: Path | None = None,
) -> StoredCodes:
    """Codes of images (B, 3, H, W) in [-1, 1], from files of earlier inversions if there are any.

    A file's name is a hash of the pixels, the generator's fingerprint, the recipe and the distance,
    as of ``choose_distance``. Files are by default in ``inversions`` in the user's cache.
    """
    directory = directory or home() / "inversions"
    made_by = {
        "prior": fingerprint(generator),
        "recipe": json.dumps(asdict(recipe)),
        "perceptual": perceptual,
        "seed": str(SEED),
    }
    wanted = [made_by | {"image": digest_of_pixels(pixels)} for pixels in image]
    names = [hashlib.sha256(json.dumps(w).encode()).hexdigest()[:32] for w in wanted]
    files = [directory / f"{name}.safetensors" for name in names]
    todo = [i for i in range(len(files)) if not is_done(files[i], wanted[i])]
    if todo:
        steps = sum(count for _, count in recipe.stages)
        with Progress(transient=True) as bar:
            task = bar.add_task(f"Inverting {len(todo)} labelled images", total=steps)
            ids = torch.tensor([int(names[i][:15], 16) for i in todo], device=image.device)
            advance = lambda step, losses: bar.advance(task)  # noqa: E731
            found = invert(generator, image[todo], recipe, distance, SEED, ids, advance)
        for i, number in enumerate(todo):
            write_codes(directory, names[number], found, i, wanted[number])
    return read_stored(files, image.device)


def read_stored(files: list[Path], device: torch.device) -> StoredCodes:
    """Codes and errors from files that ``write_codes`` wrote."""
    codes = torch.cat([load_file(file)["codes"] for file in files])
    notes = [stored_notes(file) for file in files]
    mse, distance = (torch.tensor([float(n[key]) for n in notes]) for key in ("mse", "distance"))
    return StoredCodes(codes.to(device), mse, distance, files)


def digest_of_pixels(image: Tensor) -> str:
    """Hash of an image (3, H, W) in [-1, 1], rounded to 8 bits."""
    pixels = to_uint8(image).cpu().contiguous()
    return hashlib.sha256(str(tuple(pixels.shape)).encode() + pixels.numpy().tobytes()).hexdigest()


def stored_notes(file: Path) -> dict[str, str]:
    """The notes in a file of codes; none if it is missing or damaged."""
    try:
        return read_tensors(file)[1]
    except (OSError, SafetensorError, ValueError):
        return {}


def is_done(file: Path, wanted: dict[str, str]) -> bool:
    """Whether a file has the codes of this photo by this recipe."""
    notes = stored_notes(file)
    return all(notes.get(key) == value for key, value in wanted.items())


def write_codes(out: Path, stem: str, found: Inversion, i: int, notes: dict[str, str]) -> None:
    """Write the codes of one photo and its reconstruction."""
    save_png(to_uint8(found.image[i]), out / f"{stem}.png")
    tensors = {"codes": found.w_plus[i : i + 1]}
    if not isinstance(found.noise, str):
        for level, noise in enumerate(found.noise):
            tensors[f"noise_{level:02d}"] = noise[i : i + 1]
    errors = {"mse": f"{found.mse[i]:.6f}", "distance": f"{found.perceptual[i]:.6f}"}
    write_tensors(out / f"{stem}.safetensors", tensors, notes | errors)
