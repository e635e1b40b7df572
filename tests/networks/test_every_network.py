"""What every network does: gradients reach all of it, samples do not mix, and it compiles."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semsynth.networks.clvae.encoder import CLVAEEncoder
from semsynth.networks.clvae.generator import CLVAEGenerator
from semsynth.networks.clvae.patch_discriminator import MultiscaleDiscriminator
from semsynth.networks.clvae.spade_generator import SPADEGenerator
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.motion.latent_transformer import LatentTransformer
from semsynth.networks.motion.raft import RAFT
from semsynth.networks.rivals.backbone_discriminator import BackboneDiscriminator
from semsynth.networks.rivals.groupdnet import GroupedEncoder, GroupedGenerator
from semsynth.networks.rivals.inade import InstanceAdaptiveGenerator
from semsynth.networks.rivals.segmentation_discriminator import SegmentationDiscriminator
from semsynth.networks.rivals.velocity_unet import VelocityUNet
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.networks.trunk_unet import TrunkUNet
from semsynth.networks.unet import UNet
from tests.helpers.checks import assert_compiles, tensors_of

Case = tuple[nn.Module, tuple[Any, ...]]
"""A small network, and inputs for a batch of four."""


def masks(size: int) -> Tensor:
    """Squares of four classes with a stripe of ignored pixels."""
    mask = torch.randint(4, (4, 8, 8)).repeat_interleave(size // 8, 1)
    mask[:, size // 4 : size // 3] = 255
    return mask.repeat_interleave(size // 8, 2)


def clvae_generator() -> Case:
    network = CLVAEGenerator(4, (64, 64), 2, z_dim=6, code_dim=3, spade_channels=4)
    return network, (masks(64), torch.randn(4, 6), torch.randn(4, 5, 4, 3))


def spade_generator() -> Case:
    layouts = [torch.rand(4, 3, 8 * 2 ** (i % 3), 16) for i in range(7)]
    network = SPADEGenerator(4, (64, 64), 2, layout_channels=[3] * 7, spade_channels=4)
    return network, (torch.randn(4, 4), layouts)


def rival(kind: Callable[..., Any], **sizes: int) -> Case:
    """A generator of five classes, the last of them absent, which reads no global code."""
    network = kind(5, (64, 64), channels=4, **sizes)
    return network, (masks(64), torch.zeros(4, 0).long(), torch.randn(4, *network.code_shape))


def style_encoder() -> Case:
    sizes: Any = {"w_dim": 10, "units": (1, 2, 1, 1), "widths": (4, 6, 8, 12)}
    return GradualStyleEncoder(5, 9, 32, **sizes), (torch.rand(4, 5, 32, 32),)


def latent_transformer() -> Case:
    network = LatentTransformer(4, 24, 10, 7, depth=2, num_heads=3, head_dim=8, mlp_dim=20)
    marks = (torch.randn(4, 5, 3), torch.randn(4, 5, 7), torch.ones(4, 5, dtype=torch.bool))
    return network, (torch.randn(4, 4, 10), *marks)


CASES: dict[str, Callable[[], Case]] = {
    "CLVAEEncoder": lambda: (
        CLVAEEncoder(4, 2, 6, code_dim=3, encoder_size=128),
        (torch.randn(4, 3, 128, 128), masks(128)),
    ),
    "CLVAEGenerator": clvae_generator,
    "SPADEGenerator": spade_generator,
    "MultiscaleDiscriminator": lambda: (
        MultiscaleDiscriminator(6, channels=4),
        (torch.rand(4, 3, 32, 32), torch.randn(4, 3, 32, 32)),
    ),
    "GradualStyleEncoder": style_encoder,
    "LatentTransformer": latent_transformer,
    "RAFT": lambda: (RAFT(4, 8, 8, 4, 2, 1, 2), (*torch.rand(2, 4, 3, 32, 32),)),
    "StyleGAN2Discriminator": lambda: (
        StyleGAN2Discriminator(16, 128, 4, 2),
        (torch.randn(4, 3, 16, 16),),
    ),
    "StyleGAN2Generator": lambda: (
        StyleGAN2Generator(32, 5, 6, 2, 128, 8),
        (torch.randn(4, 5),),
    ),
    "GroupedEncoder": lambda: (
        GroupedEncoder(5, (64, 64), class_channels=2, code_channels=2),
        (torch.randn(4, 3, 64, 64), masks(64)),
    ),
    "GroupedGenerator": lambda: rival(GroupedGenerator, code_channels=2, spade_channels=8),
    "InstanceAdaptiveGenerator": lambda: rival(InstanceAdaptiveGenerator, noise_dim=4),
    "SegmentationDiscriminator": lambda: (
        SegmentationDiscriminator(5, channels=4, depth=3),
        (torch.randn(4, 3, 32, 32),),
    ),
    "BackboneDiscriminator": lambda: (
        BackboneDiscriminator(5, UNet(3, channels=4), channels=4),
        (torch.randn(4, 3, 16, 16),),
    ),
    "TrunkUNet": lambda: (
        TrunkUNet(5, 4, "efficientnet-lite0"),
        (torch.randn(4, 3, 16, 16),),
    ),
    "VelocityUNet": lambda: (
        VelocityUNet(4, channels=8, depth=3, spade_channels=4),
        (torch.randn(4, 3, 16, 16), torch.rand(4), masks(16)),
    ),
    "UNet": lambda: (UNet(5, channels=4), (torch.randn(4, 3, 16, 16),)),
}


IN_BFLOAT16 = (
    *("MultiscaleDiscriminator", "SegmentationDiscriminator", "BackboneDiscriminator"),
    *("TrunkUNet", "UNet"),
)


def floats(outputs: Any) -> list[Tensor]:
    return [t for t in tensors_of(outputs) if t.is_floating_point() and t.numel()]


def trained(network: nn.Module) -> list[nn.Parameter]:
    """All parameters but those of a frozen backbone."""
    return [p for p in network.parameters() if p.requires_grad]


def total(outputs: Any) -> Tensor:
    return torch.stack([t.double().square().sum() for t in floats(outputs)]).sum()


@pytest.mark.parametrize("name", CASES)
def test_gradient_reaches_every_parameter_and_input(name: str) -> None:
    torch.manual_seed(0)
    network, inputs = CASES[name]()
    leaves = [x.requires_grad_() for x in floats(inputs)]
    torch.autograd.backward(total(network(*inputs)))
    assert all(p.grad is not None and p.grad.any() for p in [*trained(network), *leaves])


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"StyleGAN2Discriminator", "RAFT"}))
def test_samples_do_not_mix_in_eval_mode(name: str) -> None:
    network, inputs = CASES[name]()
    alone = [[t[1:2] for t in x] if isinstance(x, list) else x[1:2] for x in inputs]
    with torch.no_grad():
        both = zip(floats(network.eval()(*inputs)), floats(network(*alone)), strict=True)
    for together, one in both:
        torch.testing.assert_close(together[1:2], one, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_and_channels_last_give_finite_outputs_and_gradients(name: str) -> None:
    network, inputs = CASES[name]()
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = floats(network(*inputs))
    if name not in IN_BFLOAT16:
        assert {t.dtype for t in outputs} == {torch.float32}
    torch.autograd.backward(total(outputs))
    finite = [*outputs, *(p.grad for p in trained(network))]
    assert all(t is not None and t.isfinite().all() for t in finite)


@pytest.mark.parametrize("name", CASES)
def test_outputs_in_bfloat16_are_close_and_in_channels_last_equal(name: str) -> None:
    torch.manual_seed(0)
    network, inputs = CASES[name]()
    with torch.no_grad():
        expected = floats(network.eval()(*inputs))
        with torch.autocast("cpu", torch.bfloat16):
            half = floats(network(*inputs))
        last = floats(network.to(memory_format=torch.channels_last)(*inputs))
    for value, rounded in zip(expected, half, strict=True):
        assert 0 < (rounded - value).norm() / value.norm() < 0.05
    torch.testing.assert_close(last, expected, atol=1e-5, rtol=1e-4)


# The trunk is timm's; it compiles too, in 12 s.
@pytest.mark.parametrize("name", sorted(CASES.keys() - {"RAFT", "SPADEGenerator", "TrunkUNet"}))
def test_network_compiles_without_graph_breaks(name: str) -> None:
    torch.manual_seed(0)
    network, inputs = CASES[name]()
    assert_compiles(network.eval(), *inputs)


RELEASED: list[tuple[Callable[[], nn.Module], int]] = [
    (lambda: CLVAEEncoder(151), 10_909_478),
    (lambda: CLVAEEncoder(151).heads, 446_054),
    (lambda: CLVAEEncoder(20), 10_522_504),
    (lambda: CLVAEEncoder(16, 160), 49_776_512),
    (lambda: CLVAEEncoder(16, 160).heads, 117_920),
    (lambda: CLVAEEncoder(35), 10_566_814),
    (lambda: CLVAEEncoder(19), 10_519_550),
    (lambda: CLVAEGenerator(151), 111_965_396),
    (lambda: CLVAEGenerator(20, (256, 512), upsampling="more"), 100_805_203),
    (lambda: CLVAEGenerator(16, (256, 256), 160, upsampling="more"), 490_976_099),
    (lambda: CLVAEGenerator(35, (256, 512), upsampling="more"), 101_117_068),
    (lambda: CLVAEGenerator(19), 109_205_804),
    (lambda: MultiscaleDiscriminator(151 + 3), 5_836_930),
    (lambda: MultiscaleDiscriminator(20 + 3), 5_568_642),
    (lambda: MultiscaleDiscriminator(16 + 3), 5_560_450),
    (lambda: MultiscaleDiscriminator(35 + 3), 5_599_362),
    (lambda: MultiscaleDiscriminator(19 + 3), 5_566_594),
    (lambda: StyleGAN2Generator(256), 30_034_338),
    (lambda: StyleGAN2Generator(1024), 30_370_060),
    (lambda: StyleGAN2Discriminator(256), 28_864_129),
    (LatentTransformer, 26_141_440),
]


@pytest.mark.parametrize(("build", "parameters"), RELEASED)
def test_network_has_the_released_parameters(
    build: Callable[[], nn.Module], parameters: int
) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build().parameters()) == parameters
