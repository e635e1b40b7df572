import torch
from torch import Tensor

from semsynth.networks.clvae.fast_spade import Painted
from semsynth.networks.rivals.inade import InstanceAdaptiveGenerator, InstanceModulation


def test_modulation_equals_a_loop_over_pixels() -> None:
    torch.manual_seed(0)
    layer = InstanceModulation(3, num_classes=2, noise_dim=4)
    layer.centre.data.normal_()
    labels = torch.randint(0, 5, (2, 4, 4))  # two classes of two instances, and ignored pixels
    tables = torch.randn(2, 5, 8)
    x = torch.randn(2, 3, 4, 4)
    normalised = layer.norm(x)
    expected = torch.empty_like(x)
    for b, i, j in torch.ones(2, 4, 4).nonzero().tolist():
        row = int(labels[b, i, j])
        scale, shift = torch.zeros(3), torch.zeros(3)
        if row < 4:
            noise = tables[b, row]
            scale, shift = (
                layer.centre[k, row // 2] + layer.spread[k, row // 2] * layer.remap[k](part)
                for k, part in enumerate(noise.chunk(2))
            )
        expected[b, :, i, j] = normalised[b, :, i, j] * (1 + scale) + shift
    torch.testing.assert_close(layer(x, Painted(labels, tables)), expected)


def inputs() -> tuple[Tensor, Tensor]:
    mask = torch.zeros(1, 64, 64).long()
    mask[:, :32] = 1
    instance = torch.ones(1, 64, 64).long()
    instance[..., 32:] = 2
    return mask, instance


def test_instances_of_a_class_are_styled_apart() -> None:
    torch.manual_seed(0)
    network = InstanceAdaptiveGenerator(2, (64, 64), channels=4, noise_dim=4, instances_per_class=2)
    network.eval()
    for parameter in network.parameters():
        parameter.data.mul_(3)
    mask, instance = inputs()
    noise = torch.randn(1, *network.code_shape)
    other = noise.clone()
    other[:, :, 3] += 3  # the second instance of class 1: above, right
    with torch.no_grad():
        images = [network(mask, torch.zeros(1, 0), z, instance) for z in (noise, other)]
    change = (images[0] - images[1]).abs().mean(1)[0]
    where = change[:32, 32:].mean()
    assert where > 2 * change[32:].mean()
    assert where > 2 * change[:32, :32].mean()
