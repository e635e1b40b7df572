import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.clvae.spade import SPADE
from semsynth.networks.rivals.velocity_unet import LayoutBlock, VelocityUNet, scales, waves


def group_normalised(x: Tensor) -> Tensor:
    """Activations of each group of eight channels and each sample with mean 0 and variance 1."""
    groups = x.unflatten(1, (-1, 8))
    variance, mean = torch.var_mean(groups, dim=(2, 3, 4), keepdim=True, correction=0)
    return ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)


def spade(x: Tensor, layer: SPADE, layout: Tensor) -> Tensor:
    """SPADE of group normalisation, by its formula."""
    hidden = layer.shared(layout)
    return group_normalised(x) * (1 + layer.gamma(hidden)) + layer.beta(hidden)


def test_block_of_the_decoder_equals_its_formula() -> None:
    block = LayoutBlock(16, 8, 6, 4, 5)
    x, time = torch.randn(2, 16, 12, 8), torch.randn(2, 6)
    mask = torch.randint(4, (2, 12, 8))
    mask[:, :3] = 255
    network = VelocityUNet(4, 8, 1)
    network.up[0] = block
    (given,) = network.modulations(mask)
    layout = one_hot(mask, 4)
    h = block.conv_0(F.silu(spade(x, block.spade_0, layout))) + block.of_time(time)[..., None, None]
    expected = block.shortcut(x) + block.conv_1(F.silu(spade(h, block.spade_1, layout)))
    torch.testing.assert_close(block(x, time, given), expected, atol=1e-5, rtol=1e-4)


def test_each_block_reads_the_label_map_at_its_size() -> None:
    sizes = [
        given[0].scale.shape[2:]
        for given in VelocityUNet(4, 8, 4).modulations(torch.zeros(1, 32, 16, dtype=torch.long))
    ]
    assert sizes == [(4, 2), (8, 4), (16, 8), (32, 16)]


def test_modulations_of_label_maps_serve_all_times() -> None:
    network = VelocityUNet(4, 8, 2).eval()
    mask, x = torch.randint(4, (2, 8, 8)), torch.randn(2, 3, 8, 8)
    given = network.modulations(mask)
    for time in (torch.zeros(2), torch.tensor([0.2, 0.9])):
        torch.testing.assert_close(network.velocity(x, time, given), network(x, time, mask))


def test_waves_by_hand() -> None:
    found = waves(torch.tensor([0.0, 0.5]))
    assert found.shape == (2, 64)
    torch.testing.assert_close(found[0], torch.tensor([0.0] * 32 + [1.0] * 32))
    torch.testing.assert_close(found[1, [0, 32]], torch.tensor([1.0, 0.0]))  # half a turn


def test_the_toy_network_has_two_million_parameters() -> None:
    assert 2e6 < sum(p.numel() for p in VelocityUNet(8).parameters()) < 4e6


def test_scales_give_the_linear_guess_of_the_velocity_and_its_error() -> None:
    torch.manual_seed(0)
    noise, image = torch.randn(400_000).double(), 0.5 * torch.randn(400_000).double()
    for time in (0.0, 0.3, 0.8, 1.0):
        way, velocity = torch.lerp(noise, image, time), image - noise
        of_input, of_way, of_output = scales(torch.tensor(time).double())
        slope = (way * velocity).mean() / way.square().mean()
        error = (velocity - slope * way).std()
        expected = torch.stack([1 / way.std(), slope, error])
        torch.testing.assert_close(
            torch.stack([of_input, of_way, of_output]), expected, atol=0.01, rtol=0.01
        )
