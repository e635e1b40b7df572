"""Sources of labelled images: images of masks, or samples with pseudo-labels."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from semsynth.data import DataError, SynthesisDataModule
from semsynth.export.edits import MaskEdit
from semsynth.export.styles import PhotoStyles
from semsynth.images import to_uint8
from semsynth.methods import FewShotSMIS
from semsynth.methods.base import Method
from semsynth.networks.noise import sample_seed

IGNORE = 255
MOST = 4096  # maximum labelled samples in memory
MANY_MASKS = 20  # enough to split by mask
LOWEST = -10.0  # score of a class without shots; infinity cannot be interpolated


class Drawn(NamedTuple):
    """A batch of labelled images.

    Attributes:
        image: Images (B, 3, H, W), uint8.
        mask: Label maps (B, H, W), int64.
        origin: Name of the source of each.
        seed: Seed of each.
        margin: Margin of the pseudo-labels to the next class (B, H, W), in units of the scores;
            None for given masks.
    """

    image: Tensor
    mask: Tensor
    origin: list[str]
    seed: list[int]
    margin: Tensor | None


class Source(Protocol):
    """Makes labelled images by their index.

    Attributes:
        num_masks: Number of masks to draw from; 0 if it needs none.
        keeps_masks: Whether masks are unedited, and many enough to split the images by mask.
    """

    num_masks: int
    keeps_masks: bool

    def __call__(self, index: Tensor) -> Drawn:
        """The images of indices (B,), independent of the batch around them."""

    def describe(self) -> dict[str, Any]:
        """What the images depend on, as JSON values."""


class MaskSource:
    """Images of masks by a method.

    Args:
        method: The method.
        masks: Label maps (M, H, W).
        names: Names of the masks.
        seed: Random seed.
        styles: Consecutive images of one mask.
        edit: Edits the masks.
        photos: Recombines styles of photos; by default they are sampled.
    """

    def __init__(
        self,
        method: Method,
        masks: Tensor,
        names: Sequence[str],
        seed: int,
        styles: int,
        edit: MaskEdit,
        photos: PhotoStyles | None = None,
    ) -> None:
        if getattr(method, "instances_per_class", 1) > 1:
            raise DataError(
                "The method has codes per instance, but edited masks have no instances; export "
                "with a model of instances_per_class 1."
            )
        self.method, self.masks, self.names = method, masks, list(names)
        self.seed, self.styles, self.edit, self.photos = seed, styles, edit, photos
        self.num_masks = len(masks)
        self.keeps_masks = not (edit.warp or edit.paste) and len(masks) >= MANY_MASKS

    def __call__(self, index: Tensor) -> Drawn:
        """The images of indices (B,)."""
        chosen = index // self.styles % len(self.masks)
        device = self.method.device
        mask = self.edit(self.masks, chosen, sample_seed(self.seed, index, 1)).to(device)
        seed = sample_seed(self.seed, index)
        batch = {"mask": mask, "seed": seed.to(device)}
        if self.photos is None:
            image = self.method.predict_step(batch, 0)
        else:
            codes = self.photos(batch["seed"])
            image = self.photos.method.decode(batch, codes.z_global, codes.z_local)
        origin = [self.names[i] for i in chosen.tolist()]
        return Drawn(to_uint8(image), mask, origin, seed.tolist(), None)

    def describe(self) -> dict[str, Any]:
        """Fingerprint of the masks, styles per mask, and the edit."""
        return {
            "masks": hashlib.sha256(self.masks.numpy().tobytes()).hexdigest(),
            "styles": self.styles,
            "edit": {"warp": self.edit.warp, "paste": list(self.edit.paste)},
            "style": "drawn" if self.photos is None else "photos",
        }


class SampleSource:
    """Samples of a generator with pseudo-labels, from scores resized to the images.

    Args:
        method: A method trained to label.
        seed: Seed of the export.
        truncation: Truncation of the samples; 1 is none.
    """

    def __init__(self, method: FewShotSMIS, seed: int, truncation: float) -> None:
        self.method, self.seed, self.truncation = method, seed, truncation
        self.num_masks, self.keeps_masks = 0, False

    def __call__(self, index: Tensor) -> Drawn:
        """The images of indices (B,)."""
        seed = sample_seed(self.seed, index)
        w = self.method.sample_w(seed.to(self.method.device), self.truncation)
        w_plus = self.method.generator.repeat(w)
        mask, margin = pseudo_labels(self.method, w_plus)
        image, origin = to_uint8(self.method.draw(w_plus)), ["sample"] * len(index)
        return Drawn(image, mask, origin, seed.tolist(), margin)

    def describe(self) -> dict[str, Any]:
        """Prior, labelling and truncation."""
        return {
            "prior": self.method.prior,
            "labelling": self.method.labelling,
            "layers": list(self.method.label_resolutions),
            "truncation": self.truncation,
        }


def pseudo_labels(method: FewShotSMIS, w_plus: Tensor) -> tuple[Tensor, Tensor | None]:
    """Labels (B, H, W) of samples, and the margin (B, H, W) to the next class.

    Margins are differences of cosines, or of probabilities with a linear read-out. A segmenter's
    labels have none. Unknown pixels of sparse labels become 255.
    """
    if method.labelling == "segmenter":
        return method.label(w_plus), None
    scores = method.scores(w_plus).clamp(min=LOWEST)
    scores = F.interpolate(scores, method.image_size, mode="bilinear", align_corners=False)
    if method.reads_linearly:
        scores = scores.softmax(1)
    best = scores.topk(2, dim=1)
    mask = best.indices[:, 0]
    if method.sparse:
        mask = mask.masked_fill((mask == 0) | (best.values[:, 0] <= 0), IGNORE)
    return mask, best.values[:, 0] - best.values[:, 1]


def labelled_samples(data: SynthesisDataModule) -> tuple[Tensor, Tensor, list[str]]:
    """Images (M, 3, H, W) and masks (M, H, W), both uint8, and names of labelled training samples.

    These are the shots, if any, else the first ``MOST`` samples.
    """
    data.setup("fit")
    dataset, names = data.dataset("train"), data.names("train")
    ids = data.train_ids[:MOST]
    images, masks = [], []
    for part in torch.tensor(ids).split(256):
        batch = default_collate([dataset[i] for i in part.tolist()])
        batch = data.on_after_batch_transfer(batch, 0)
        images.append(to_uint8(batch["image"]))
        masks.append(batch["mask"].to(torch.uint8))
    return torch.cat(images), torch.cat(masks), [names[i] for i in ids]
