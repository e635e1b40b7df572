"""Which photo to label: ``python -m benchmarks.studies.choose_photos``.

Draws some toy portraits for each seed, inverts them, and prints them by how well the prior draws
them, the best first: one whose inversion is bad teaches wrong labels. No label is looked at.
"""

from jsonargparse import auto_cli
from rich.console import Console

from semsynth.data import ToyPortrait
from semsynth.data.shots import choose_shots, collate_shots
from semsynth.inversion import default_recipe
from semsynth.inversion.stored_codes import choose_distance, invert_once
from semsynth.weights.priors import load_generator

PERCEPTUAL = "toy_street"  # knows nothing of portraits


def main(
    prior: str = "toy_portrait", candidates: int = 8, seeds: tuple[int, ...] = (1, 2, 3)
) -> None:
    """Invert and print a line for each seed of the draw."""
    for seed in seeds:
        ranked = rank(prior, candidates, seed)
        Console().print(f"{seed}:", ", ".join(f"{name} ({error:.3f})" for name, error in ranked))


def rank(prior: str, candidates: int, seed: int) -> list[tuple[str, float]]:
    """Names of photos with the errors of their inversions, pixels and distance, best first."""
    data = ToyPortrait(labels="dense", shots=1)
    names = data.names("train")
    chosen = choose_shots(candidates, names, seed)
    images = collate_shots(data.dataset("train"), chosen)["image"]
    _, distance = choose_distance(PERCEPTUAL, prior, "cpu")
    generator = load_generator(prior)
    found = invert_once(generator, images, default_recipe(), PERCEPTUAL, distance)
    errors = (found.mse + found.distance).tolist()
    return sorted(zip([names[i] for i in chosen], errors, strict=True), key=lambda row: row[1])


if __name__ == "__main__":
    auto_cli(main)
