import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.clvae.patch_discriminator import (
    MultiscaleDiscriminator,
    PatchDiscriminator,
    halve,
    halves,
)


def inputs(size: int = 32) -> tuple[Tensor, Tensor]:
    return torch.rand(2, 3, size, size), torch.randn(4, 3, size, size)


def test_maps_have_the_sizes_of_the_released_discriminator() -> None:
    with torch.device("meta"):
        discriminator = MultiscaleDiscriminator(10)
        outputs = discriminator(torch.zeros(1, 7, 256, 256), torch.zeros(1, 3, 256, 256))
    assert [[f.shape[-1] for f in (*features, logits)] for features, logits in outputs] == [
        [129, 65, 33, 34, 35],
        [65, 33, 17, 18, 19],
    ]
    assert [f.shape[1] for f in outputs[0][0]] == [64, 128, 256, 512]
    assert outputs[0][1].shape[1] == 1


def test_first_layer_equals_a_convolution_of_the_concatenation() -> None:
    discriminator = PatchDiscriminator(6, channels=4)
    layout, image = inputs()
    expected = discriminator.first(torch.cat([layout.repeat(2, 1, 1, 1), image], dim=1))
    torch.testing.assert_close(discriminator.convolve_first(layout, image), expected)


def test_stacked_batches_are_judged_as_if_alone() -> None:
    discriminator = MultiscaleDiscriminator(6, channels=4).eval()
    layout, image = inputs()
    fake, real = halves(discriminator(layout, image))
    for stacked, alone in ((fake, image[:2]), (real, image[2:])):
        torch.testing.assert_close(stacked, discriminator(layout, alone), atol=1e-5, rtol=1e-4)


def test_halve_does_not_count_padding() -> None:
    torch.testing.assert_close(halve(torch.ones(1, 1, 6, 6)), torch.ones(1, 1, 3, 3))
    x = torch.randn(1, 1, 7, 7)
    torch.testing.assert_close(halve(x)[..., 1:-1, 1:-1], F.avg_pool2d(x[..., 1:-1, 1:-1], 3, 2))
