"""Input checks of FewShotSMIS, and its report on inversions."""

from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor

from semsynth.inversion.stored_codes import StoredCodes
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights import WeightsError

Batch = dict[str, Any]
BAD_MSE = 0.1  # of a failed inversion, for images in [-1, 1]


def check_prior(
    generator: StyleGAN2Generator,
    name: str,
    resolutions: tuple[int, ...],
    image_size: tuple[int, int],
) -> None:
    """Refuse a prior without features at these resolutions, or that draws smaller images."""
    G, available = generator, generator.synthesis.resolutions
    if missing := set(resolutions) - set(available):
        raise WeightsError(
            f"The prior {name!r} draws {G.image_size}x{G.image_size} images and has features at "
            f"{', '.join(map(str, available))}, not at {', '.join(map(str, sorted(missing)))}. "
            "Give model.feature_resolution, or a larger prior."
        )
    if image_size != (image_size[0],) * 2 or image_size[0] > G.image_size:
        raise WeightsError(
            f"The prior {name!r} draws {G.image_size}x{G.image_size} images; data.image_size must "
            f"be square and at most that, got {image_size}."
        )


def check_codes(codes: Tensor, generator: StyleGAN2Generator, name: str, what: str) -> None:
    """Refuse codes (N, num_ws, w_dim) of another generator."""
    wanted = (generator.num_ws, generator.w_dim)
    if codes.shape[1:] != wanted:
        raise WeightsError(
            f"The codes of the {what} have shape {tuple(codes.shape[1:])}, but the prior {name!r} "
            f"takes {wanted}: they are of another generator. Remove them to invert the photos."
        )


def check_labels(batch: Batch, num_classes: int, sparse: bool) -> None:
    """Refuse label maps without a label, and labels that are not a class."""
    mask = batch["mask"]
    names = batch.get("name", [str(i) for i in range(len(mask))])
    known = (mask >= 0) & (mask < num_classes)
    if (beyond := ~known & (mask != 255)).any():
        i = int(beyond.flatten(1).any(1).nonzero()[0])
        raise ValueError(
            f"The label map of {names[i]} has the value {int(mask[i][beyond[i]][0])}; labels are 0 "
            f"to {num_classes - 1}, and 255 for unlabelled. Fix it or raise num_classes."
        )
    labelled = (known & (mask != 0)) if sparse else known
    if not (some := labelled.flatten(1).any(1)).all():
        i = int((~some).nonzero()[0])
        raise ValueError(
            f"The label map of {names[i]} has no label, only unknown pixels; draw a mark or "
            "remove it."
        )


def report_inversion(found: StoredCodes, prior: str) -> None:
    """Report how well photos are reproduced, and warn of failures."""
    directory = found.files[0].parent
    rank_zero_info(
        f"Inverted {len(found.mse)} images: mean squared error {found.mse.mean():.4f}, perceptual "
        f"distance {found.distance.mean():.4f}; codes and pictures are in {directory}."
    )
    errors = found.mse.tolist()
    if bad := [f"{i} ({error:.2f})" for i, error in enumerate(errors) if error > BAD_MSE]:
        rank_zero_warn(
            f"The prior {prior!r} cannot reproduce these images (index and mean squared error): "
            f"{', '.join(bad)}. Look at the pictures in {directory}; labels of other images, or of "
            "the prior's own samples (semsynth draw), may work better."
        )
