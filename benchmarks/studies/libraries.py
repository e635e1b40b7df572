"""FID, KID and LPIPS of this project beside those of clean-fid, torch-fidelity and lpips.

All read the same files of photographs, with the same weights. A set is also compared with copies of
its own: ``jpeg`` is JPEG of quality 20, ``half`` is half as high and wide, as PNG.

    python -m benchmarks.studies.libraries PHOTOS OTHERS

compares two folders, and the second with its copies, and prints a table in Markdown.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import lpips
import numpy as np
import torch
from cleanfid import fid
from jsonargparse import auto_cli
from PIL import Image
from rich.console import Console
from torch import Tensor, nn
from torch_fidelity import metric_fid, metric_kid

from semsynth import metrics, weights
from semsynth.data.decode import read_image
from semsynth.data.pairs import list_images
from semsynth.images import to_uint8
from semsynth.metrics.folders import batches, read_images, size_of
from semsynth.metrics.perceptual import NETWORKS, Trunk
from semsynth.metrics.rows import image_keys
from semsynth.networks.inception import Inception
from semsynth.weights.cards import read_network
from semsynth.weights.conversion import read_pretrained

BATCH = 32
FORMATS = ("JPEG", "PNG", "WEBP")
EXTRACTORS = {"clean-fid": "inception-clean", "torch-fidelity": "inception-fid"}


class Score(NamedTuple):
    """A score of ours and of a library."""

    name: str
    library: str
    ours: float
    theirs: float

    @property
    def difference(self) -> float:
        """Relative difference."""
        return abs(self.ours / self.theirs - 1)


class Photographs:
    """Image files, read once; their features are computed once by each library.

    Attributes:
        name: What the set is called.
        files: The files.
    """

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        self.name, self.files = name, sorted(files)

    @cached_property
    def images(self) -> list[Tensor]:
        """Batches (B, 3, H, W) in [-1, 1], which metrics remember the features of."""
        with ThreadPoolExecutor() as pool:
            return [read_images(some, pool) for some in batches(self.files, BATCH)]

    @cached_property
    def order(self) -> Tensor:
        """The order (N,) that our metrics bring the files into."""
        return torch.cat([image_keys(images) for images in self.images]).argsort(stable=True)

    @cached_property
    def of_cleanfid(self) -> np.ndarray:
        """Features (N, 2048) by clean-fid's reading and resizing, from the network of a package."""
        network = packaged_inception()
        arguments = {"batch_size": BATCH, "num_workers": 0, "device": torch.device("cpu")}
        return fid.get_files_features(
            [str(file) for file in self.files],
            lambda resized: network.layers((resized - 128) / 128).flatten(1),
            verbose=False,
            **arguments,
        )

    @cached_property
    def of_torch_fidelity(self) -> Tensor:
        """Features (N, 2048) by torch-fidelity's own network and resizing of what Pillow reads."""
        network = packaged_inception()
        features = []
        for files in batches(self.files, BATCH):
            opened = (Image.open(file, formats=FORMATS) for file in files)
            pixels = np.stack([np.array(image.convert("RGB")) for image in opened])
            with torch.no_grad():
                features += network(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        return torch.cat(features)


def packaged_inception() -> Inception:
    """The network that both libraries are given."""
    path = weights.find("inception-fid-helper", "The comparison", "leave it out")
    return read_network(path, Inception, {}).eval()


def distances(real: Photographs, fake: Photographs) -> list[Score]:
    """FID and KID of two sets."""
    found = []
    size = min(len(real.files), len(fake.files))
    for library, extractor in EXTRACTORS.items():
        measured = metrics.FrechetDistance(extractor), metrics.KernelDistance(extractor)
        for metric in measured:
            for image in real.images:
                metric.update(image=image, fake=torch.empty(0, 3, 299, 299))
            for image in fake.images:
                metric.update(image=torch.empty(0, 3, 299, 299), fake=image)
        frechet, kernel = (next(iter(metric.compute().values())).item() for metric in measured)
        if library == "clean-fid":
            theirs = fid.fid_from_feats(fake.of_cleanfid, real.of_cleanfid)
            rows = fake.of_cleanfid[fake.order], real.of_cleanfid[real.order]
            np.random.seed(2020)  # noqa: NPY002  what clean-fid draws its subsets with
            theirs_kernel = fid.kernel_distance(rows[1], rows[0])
        else:
            both = fake.of_torch_fidelity, real.of_torch_fidelity
            statistics = [metric_fid.fid_features_to_statistics(features) for features in both]
            found_fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
            theirs = found_fid["frechet_inception_distance"]
            sorted_rows = both[0][fake.order], both[1][real.order]
            settings = {"kid_subsets": 100, "kid_subset_size": min(size, 1000), "rng_seed": 2020}
            found_kid = metric_kid.kid_features_to_metric(*sorted_rows, verbose=False, **settings)
            theirs_kernel = found_kid["kernel_inception_distance_mean"]
        found.append(Score("FID", library, frechet, float(theirs)))
        found.append(Score("KID", library, kernel, float(theirs_kernel)))
    return found


def perceptual(real: Photographs, fake: Photographs, trunk: Trunk) -> Score:
    """LPIPS between the first files of one size of two sets, pair by pair."""
    metric = metrics.Reconstruction(trunk)
    network = library_lpips(trunk)
    values = []
    size = size_of(fake.files[0])
    with ThreadPoolExecutor() as pool, torch.no_grad():
        for file, copy in zip(real.files, fake.files, strict=True):
            pair = [read_images([path], pool, size) for path in (file, copy)]
            metric.update(reconstruction=pair[1], image=pair[0])
            a, b = (to_uint8(image) / 127.5 - 1 for image in pair)
            values.append(network(a, b).double().item())
    ours = metric.compute()[f"reconstruction_lpips_{trunk}"].item()
    return Score(f"LPIPS {trunk}", "lpips", ours, sum(values) / len(values))


def library_lpips(trunk: Trunk) -> nn.Module:
    """The network of lpips, with weights from our cache instead of from torchvision's address."""
    network = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    path = weights.find(NETWORKS[trunk], "The comparison", "leave it out")
    state = read_pretrained(path)
    keys = {key: f"features.{key.split('.', 1)[1]}" for key in network.net.state_dict()}
    network.net.load_state_dict({key: state[name] for key, name in keys.items()})
    return network.eval()


def write_copies(photographs: Photographs, folder: Path) -> list[Photographs]:
    """The copies ``jpeg`` and ``half`` of a set, below a folder."""
    copies = []
    for name, suffix in (("jpeg", ".jpg"), ("half", ".png")):
        (folder / name).mkdir(parents=True)
        files = [folder / name / file.with_suffix(suffix).name for file in photographs.files]
        for file, copy in zip(photographs.files, files, strict=True):
            image = Image.fromarray(read_image(file).permute(1, 2, 0).numpy())
            if name == "half":
                small = (image.width // 2, image.height // 2)
                image.resize(small, Image.Resampling.LANCZOS).save(copy)
            else:
                image.save(copy, quality=20)
        copies.append(Photographs(f"{photographs.name}, {name}", files))
    return copies


def compare(photos: Path, others: Path, num: int | None = None, vgg: bool = False) -> None:
    """Print the table.

    Args:
        photos: A folder of photographs.
        others: Another, which is also compared with its copies.
        num: Photographs of each folder, the first in the order of their names; all by default.
        vgg: Also LPIPS with features ``vgg``.
    """
    trunks: list[Trunk] = ["alex", "vgg"] if vgg else ["alex"]
    first, second = (
        Photographs(
            "/".join(folder.resolve().parts[-3:]), sorted(list_images(folder).values())[:num]
        )
        for folder in (photos, others)
    )
    console = Console(soft_wrap=True, highlight=False)
    console.print("| real | generated | score | library | ours | library's | relative |")
    console.print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        copies = write_copies(second, Path(folder))
        for real, fake in [*((second, copy) for copy in copies), (first, second)]:
            scores = distances(real, fake)
            if fake is not second:
                scores += [perceptual(real, fake, trunk) for trunk in trunks]
            of = " | ".join(f"{s.name} ({len(s.files)})" for s in (real, fake))
            for score in scores:
                numbers = f"{score.ours:.6f} | {score.theirs:.6f} | {score.difference:.0e}"
                console.print(f"| {of} | {score.name} | {score.library} | {numbers} |")


if __name__ == "__main__":
    auto_cli(compare)
