"""Pivotal tuning: a generator's small difference that makes a photo's latents draw it.

After Roich et al., TOG 2022, https://arxiv.org/abs/2106.05744: the latents stay, the pivot, and the
generator is trained for a few hundred steps to draw the photo there, and what it drew before
elsewhere. Ours trains factors of low rank instead of the weights, which fit into a small file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.func import functional_call

from semsynth.files import read_tensors, write_tensors
from semsynth.inversion.search import Distance, Inversion
from semsynth.inversion.terms import comparable, lr_factor, pixel_error, resize
from semsynth.networks.noise import sample_seed, seeded_normal, seeded_uniform
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import WeightsError
from semsynth.weights.priors import fingerprint, require_prior

FOLDER = "tuned"
"""Folder beside codes with the difference of each, under the same name."""
RANK = 8
LR = 0.01
KEEP_WEIGHT = 1.0
"""Weight of the images elsewhere, which should stay."""
REACH = 0.5
"""How far from the pivot images should stay at most, as a share of the way to a sample."""
SCALES = 3  # of the image pyramid on which pixels are compared

Factors = dict[str, Tensor]
"""``NAME.up`` (C', rank) and ``NAME.down`` (rank, n) for each weight (C', ...) that is tuned."""


def tune(
    generator: StyleGAN2Generator,
    w_plus: Tensor,
    image: Tensor,
    distance: Distance | None = None,
    steps: int = 300,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Factors:
    """Find the difference with which a generator's stored noise and latents draw a photo.

    Args:
        generator: The generator; it is not changed.
        w_plus: Latents (1, num_ws, w_dim) of the photo, by an inversion with the stored noise.
        image: The photo (1, 3, H, W) in [-1, 1].
        distance: Perceptual distance; without one only pixels are compared.
        steps: Steps of Adam.
        seed: Seed of the start, and of where else the images should stay.
        progress: Called with the steps done and their number.

    Returns:
        Factors in half precision, for ``apply_factors`` and ``write_difference``.
    """
    target = comparable(resize(image, generator.image_size))
    factors = initial_factors(generator, seed)
    optimizer = torch.optim.Adam(factors.values(), LR)

    def errors(drawn: Tensor, wanted: Tensor) -> Tensor:
        drawn = comparable(drawn)
        far = distance(drawn, wanted) if distance is not None else 0
        return pixel_error(drawn, wanted, SCALES) + far

    with torch.enable_grad():
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = LR * lr_factor(step / steps)
            near = neighbours(generator, w_plus, sample_seed(seed, torch.tensor([step])))
            with torch.no_grad():
                kept = comparable(generator.synthesis(near))
            drawn = synthesise(generator, factors, torch.cat([w_plus, near]))
            here, elsewhere = errors(drawn, torch.cat([target, kept]))
            optimizer.zero_grad()
            (here + KEEP_WEIGHT * elsewhere).backward()
            optimizer.step()
            if progress is not None:
                progress(step + 1, steps)
    return {name: factor.detach().half() for name, factor in factors.items()}


def tune_to(
    generator: StyleGAN2Generator,
    found: Inversion,
    i: int,
    image: Tensor,
    distance: Distance | None,
    steps: int,
    progress: Callable[[int, int], None] | None = None,
) -> Factors:
    """Tune to the i-th of inverted images (B, 3, H, W), whose reconstruction is updated."""
    w_plus, image = found.w_plus[i : i + 1], image[i : i + 1]
    factors = tune(generator, w_plus, image, distance, steps, progress=progress)
    with torch.no_grad():
        drawn = synthesise(generator, factors, w_plus)
        shown, target = comparable(drawn), comparable(resize(image, generator.image_size))
        found.image[i] = drawn[0].clamp(-1, 1)
        found.mse[i] = pixel_error(shown, target, 1)[0]
        if distance is not None:
            found.perceptual[i] = distance(shown, target)[0]
    return factors


def initial_factors(generator: StyleGAN2Generator, seed: int) -> Factors:
    """Factors of every convolution's weight whose product is 0, to be trained."""
    factors: Factors = {}
    for number, (name, weight) in enumerate(tuned_weights(generator).items()):
        n = weight[0].numel()
        rank = min(RANK, len(weight), n)
        draw = sample_seed(seed, torch.tensor([number], device=weight.device))
        factors[f"{name}.down"] = seeded_normal(draw, rank, n)[0] / rank**0.5
        factors[f"{name}.up"] = weight.new_zeros(len(weight), rank)
    return {name: factor.requires_grad_() for name, factor in factors.items()}


def tuned_weights(generator: StyleGAN2Generator) -> Factors:
    """Weights (C', C, k, k) of the convolutions, by their names in ``synthesis``."""
    named = generator.synthesis.named_parameters()
    return {name: weight for name, weight in named if name.endswith("conv.weight")}


def changed(generator: StyleGAN2Generator, factors: Mapping[str, Tensor]) -> Factors:
    """The weights with the difference of factors."""
    weights = {}
    for name, weight in tuned_weights(generator).items():
        up, down = (factors[f"{name}.{part}"].to(weight) for part in ("up", "down"))
        weights[name] = weight + (up @ down).view_as(weight)
    return weights


def synthesise(
    generator: StyleGAN2Generator, factors: Mapping[str, Tensor], w_plus: Tensor
) -> Tensor:
    """Images (B, 3, H, W) of latents by the tuned weights; gradients reach the factors."""
    return functional_call(generator.synthesis, changed(generator, factors), (w_plus,))


@torch.no_grad()
def neighbours(generator: StyleGAN2Generator, w_plus: Tensor, seed: Tensor) -> Tensor:
    """Latents (1, num_ws, w_dim) somewhere on the way from the pivot to a sample."""
    seed = seed.to(w_plus.device)
    w = generator.repeat(generator.mapping(seeded_normal(seed, generator.z_dim)))
    return torch.lerp(w_plus, w, REACH * seeded_uniform(seed, 1, 1).float())


@torch.no_grad()
def apply_factors(generator: StyleGAN2Generator, factors: Mapping[str, Tensor]) -> None:
    """Add a difference to a generator's weights."""
    generator.synthesis.load_state_dict(changed(generator, factors), strict=False)


def write_difference(
    path: Path, factors: Mapping[str, Tensor], generator: StyleGAN2Generator
) -> None:
    """Write a difference as safetensors, with the fingerprint of the generator that it is for."""
    write_tensors(path, factors, {"prior": fingerprint(generator)})


def apply_difference(generator: StyleGAN2Generator, path: Path) -> None:
    """Add the difference in a file to the generator that it was made for.

    Raises:
        WeightsError: The file is damaged, no difference, or one of another generator.
    """
    try:
        factors, notes = read_tensors(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; tune the photo again.") from error
    require_prior(f"The difference in {path}", notes.get("prior"), generator)
    wanted = initial_factors(generator, 0)
    if {k: v.shape for k, v in factors.items()} != {k: v.shape for k, v in wanted.items()}:
        raise WeightsError(f"{path} does not fit the generator's layers; tune the photo again.")
    apply_factors(generator, factors)
