"""Methods, masks and labelled images, from files of the user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

import semsynth.methods
from semsynth.callbacks.run_directory import of_checkpoint
from semsynth.data import DataError, FewShotFolder, MaskFolder, SynthesisDataModule
from semsynth.data.decode import read_image, read_labels
from semsynth.data.labels import LabelSpace, read_classes
from semsynth.data.opening import open_data
from semsynth.data.pairs import find_pairs
from semsynth.data.transforms import PairTransform
from semsynth.export.edits import MaskEdit
from semsynth.export.sources import MaskSource, SampleSource, labelled_samples
from semsynth.export.styles import PhotoStyles
from semsynth.files import read_yaml
from semsynth.images import from_uint8
from semsynth.methods import CLVAE, FewShotSMIS, LabelFlow
from semsynth.weights.download import sha256_of
from semsynth.weights.priors import find_prior, read_card

ENCODER = {"encoder_units": (1, 1, 1, 1), "encoder_widths": (8, 8, 8, 8)}  # the encoder is not used


class Opened(NamedTuple):
    """A method that makes labelled images, and its training data.

    Attributes:
        method: The method, on its device.
        data: Its data module.
        images: Labelled images (M, 3, H, W), uint8.
        masks: Their label maps (M, H, W), uint8.
        names: Their names.
        origin: Identity of the method, as JSON values.
    """

    method: CLVAE | FewShotSMIS | LabelFlow
    data: SynthesisDataModule
    images: Tensor
    masks: Tensor
    names: list[str]
    origin: dict[str, Any]

    @property
    def space(self) -> LabelSpace:
        """Meaning of the label maps."""
        return self.data.label_space


def open_checkpoint(file: Path, device: torch.device) -> Opened:
    """A trained method."""
    config = of_checkpoint(str(file)) / "config.yaml"
    if not file.is_file():
        raise DataError(f"There is no checkpoint {file}; give one of a run's checkpoints.")
    if not config.is_file():
        raise DataError(
            f"There is no {config} to rebuild {file.name} from; keep checkpoints in the directory "
            "of their run."
        )
    content = read_yaml(config)
    model = content.get("model") if isinstance(content, dict) else None
    name = str(model.get("class_path") if isinstance(model, dict) else model).rsplit(".", 1)[-1]
    if name not in ("CLVAE", "FewShotSMIS", "LabelFlow"):
        raise DataError(
            f"{name} cannot make labelled images; export with CLVAE, FewShotSMIS or LabelFlow."
        )
    data = open_data(config)
    kind = getattr(semsynth.methods, name)
    method = kind.load_from_checkpoint(file, map_location=device, weights_only=True)
    origin = {"checkpoint": sha256_of(file)}
    return Opened(method.to(device).eval(), data, *labelled_samples(data), origin)


def open_prior(
    prior: str,
    root: Path,
    labelling: Literal["dense", "linear", "sparse"],
    layers: Sequence[int] | None,
    perceptual: str,
    inversion_steps: int | None,
    device: torch.device,
) -> Opened:
    """A prior, fitted to label by a ``FewShotFolder`` with ``classes.txt``."""
    file = root / "classes.txt"
    if not file.is_file():
        raise DataError(f"There is no {file}; write your class names there, one per line.")
    num_classes = len(read_classes(file)[0])
    size = read_card(find_prior(prior))["generator"]["image_size"]
    sparse = labelling == "sparse"
    data = FewShotFolder(str(root), num_classes, "sparse" if sparse else "dense", image_size=size)
    method = FewShotSMIS(
        data.num_classes,
        data.image_size,
        prior,
        labelling,
        label_resolutions=layers,
        label_size=size if labelling == "linear" else None,
        perceptual=perceptual,
        inversion_steps=inversion_steps,
        **ENCODER,  # type: ignore[arg-type]
    )
    method.to(device).eval()
    images, masks, names = labelled_samples(data)
    samples = [data.dataset("train")[i] for i in data.train_ids]
    shots = {"image": from_uint8(images).to(device), "mask": masks.long().to(device)}
    if all("w_plus" in sample for sample in samples):
        shots["w_plus"] = torch.stack([sample["w_plus"] for sample in samples]).to(device)
    method.learn_shots(shots)
    return Opened(method, data, images, masks, names, {"labelled": names})


def sample_source(opened: Opened, seed: int, truncation: float) -> SampleSource:
    """Samples of a generator with pseudo-labels."""
    if not isinstance(opened.method, FewShotSMIS):
        name = type(opened.method).__name__
        raise DataError(f"{name} needs masks; leave out --source, or export with FewShotSMIS.")
    return SampleSource(opened.method, seed, truncation)


def mask_source(
    opened: Opened,
    directory: Path | None,
    edit: Literal["none", "warp"] | None,
    paste: Sequence[str],
    styles: int,
    style: Literal["drawn", "photos"],
    seed: int,
) -> MaskSource:
    """Images of the masks in ``directory``, unedited, or of the warped training masks."""
    method, space = opened.method, opened.space
    masks, names = opened.masks, opened.names
    if directory is not None:
        data = MaskFolder(str(directory), opened.data)
        data.setup("predict")
        dataset = data.dataset("test")
        samples = [dataset[i] for i in range(len(dataset))]  # type: ignore[arg-type]
        masks = torch.stack([sample["mask"] for sample in samples])
        names = [sample["name"] for sample in samples]
    warp = edit == "warp" or (edit is None and directory is None)
    change = MaskEdit(warp, space.numbers(paste), torch.from_numpy(space.flip_lookup()))
    photos = None
    if style == "photos":
        if not isinstance(method, CLVAE):
            raise DataError(f"{type(method).__name__} has no class-wise codes; leave out --style.")
        image, mask = opened.images.to(method.device), opened.masks.to(method.device)
        photos = PhotoStyles(method, from_uint8(image), mask.long())
    return MaskSource(method, masks, names, seed, styles, change, photos)


def read_held_out(
    root: Path, space: LabelSpace, image_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) in [-1, 1] and masks (N, H, W), int64, not used for training.

    They are in ``images`` and ``labels`` below ``root``.
    """
    transform = PairTransform(image_size, lookup=space.lookup())
    samples = []
    for i, pair in enumerate(find_pairs(root / "images", root / "labels")):
        assert pair.image is not None
        samples.append(transform(read_image(pair.image), {"mask": read_labels(pair)}, i))
    images = from_uint8(torch.stack([s["image"] for s in samples]))
    return images, torch.stack([s["mask"].long() for s in samples])
