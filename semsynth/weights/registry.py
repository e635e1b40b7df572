"""The pretrained weights that cannot ship: where they come from and how to verify them."""

from dataclasses import dataclass

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
