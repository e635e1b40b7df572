"""Methods, masks and labelled images, from the files that a user names."""

from argparse import Namespace
from pathlib import Path

import torch
import yaml
from torch import Tensor

import semsynth.methods
from semsynth.callbacks.run_directory import of_checkpoint
from semsynth.data import DataError, FewShotFolder, MaskFolder, SynthesisDataModule
from semsynth.data.decode import read_image, read_labels
from semsynth.data.labels import LabelSpace, read_classes
from semsynth.data.opening import open_data
from semsynth.data.pairs import find_pairs
from semsynth.data.transforms import PairTransform
from semsynth.export.sources import labelled_samples
from semsynth.images import from_uint8
from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.weights.priors import find_prior, read_card

ENCODER = {"encoder_units": (1, 1, 1, 1), "encoder_widths": (8, 8, 8, 8)}  # nothing is encoded
Exporter = CLVAE | FewShotSMIS
Labelled = tuple[Tensor, Tensor, list[str]]


def open_checkpoint(file: Path, device: torch.device) -> tuple[Exporter, SynthesisDataModule]:
    """A trained method and the data that it was trained with.

    Raises:
        DataError: There is no such file, or it is not of a method that can export.
    """
    config = of_checkpoint(str(file)) / "config.yaml"
    if not file.is_file():
        raise DataError(f"There is no checkpoint {file}; name one of a run's checkpoints.")
    if not config.is_file():
        raise DataError(
            f"There is no {config}, which says what the checkpoint {file.name} is; leave "
            "checkpoints in the directory of their run."
        )
    name = yaml.safe_load(config.read_text())["model"]["class_path"].rsplit(".", 1)[-1]
    if name not in ("CLVAE", "FewShotSMIS"):
        raise DataError(f"{name} makes no labelled images; export with CLVAE or FewShotSMIS.")
    data = open_data(config)
    kind = getattr(semsynth.methods, name)
    method = kind.load_from_checkpoint(file, map_location=device, weights_only=True)
    return method.to(device).eval(), data


def open_prior(
    options: Namespace, device: torch.device
) -> tuple[FewShotSMIS, FewShotFolder, Labelled]:
    """A prior that has learnt to label from a folder of few labelled images.

    Raises:
        DataError: The folder names no classes.
        MissingWeightsError: There is no such prior.
    """
    root: Path = options.labelled
    file = root / "classes.txt"
    if not file.is_file():
        raise DataError(f"There is no {file}; write the names of your classes there, one a line.")
    num_classes = len(read_classes(file)[0])
    size = read_card(find_prior(options.prior))["generator"]["image_size"]
    sparse = options.labelling == "sparse"
    data = FewShotFolder(str(root), num_classes, "sparse" if sparse else "dense", image_size=size)
    method = FewShotSMIS(
        data.num_classes,
        data.image_size,
        options.prior,
        options.labelling,
        label_resolutions=options.layers,
        label_size=size if options.labelling == "linear" else None,
        perceptual=options.perceptual,
        inversion_steps=options.inversion_steps,
        **ENCODER,  # type: ignore[arg-type]
    )
    method.to(device).eval()
    labelled = labelled_samples(data)
    samples = [data.dataset("train")[i] for i in data.train_ids]
    shots = {"image": from_uint8(labelled[0]).to(device), "mask": labelled[1].long().to(device)}
    if all("w_plus" in sample for sample in samples):
        shots["w_plus"] = torch.stack([sample["w_plus"] for sample in samples]).to(device)
    method.learn_shots(shots)
    return method, data, labelled


def read_masks(directory: Path, trained_on: SynthesisDataModule) -> tuple[Tensor, list[str]]:
    """Masks (M, H, W) of a folder, and their names.

    Raises:
        DataError: A file is not a mask of these classes.
    """
    data = MaskFolder(str(directory), trained_on)
    data.setup("predict")
    dataset = data.dataset("test")
    samples = [dataset[i] for i in range(len(dataset))]  # type: ignore[arg-type]
    return torch.stack([s["mask"] for s in samples]), [s["name"] for s in samples]


def read_held_out(
    root: Path, space: LabelSpace, image_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Labelled images that no network has learnt from.

    Args:
        root: Directory with ``images`` and ``labels``.
        space: Meaning of the label maps.
        image_size: Height and width.

    Returns:
        Images (N, 3, H, W) in [-1, 1] and masks (N, H, W), int64.

    Raises:
        DataError: There are no such files.
    """
    transform = PairTransform(image_size, lookup=space.lookup())
    samples = []
    for i, pair in enumerate(find_pairs(root / "images", root / "labels")):
        assert pair.image is not None
        samples.append(transform(read_image(pair.image), {"mask": read_labels(pair)}, i))
    images = from_uint8(torch.stack([s["image"] for s in samples]))
    return images, torch.stack([s["mask"].long() for s in samples])


def require_one_source(options: Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ValueError: They do not; the message says what to give.
    """
    if (options.ckpt_path is None) == (options.prior is None):
        raise ValueError("Give --ckpt_path of a training, or --prior and --labelled; one of them.")
    if options.prior is not None and options.labelled is None:
        raise ValueError("--prior needs --labelled, the folder of your labelled images.")
    if options.prior is not None and (options.source == "masks" or options.masks is not None):
        raise ValueError("A prior alone draws samples; train FewShotSMIS to export from masks.")
    if options.source == "samples" and options.masks is not None:
        raise ValueError("Samples have no --masks; leave them out, or --source samples.")
