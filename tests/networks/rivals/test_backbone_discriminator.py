import pytest
import torch

from semsynth.networks.rivals.backbone_discriminator import BackboneDiscriminator, Conditioning
from semsynth.networks.timm_backbone import TimmBackbone
from semsynth.networks.unet import UNet


@pytest.mark.parametrize("size", [(64, 32), (30, 22)])  # halved without a remainder, and with one
def test_each_pixel_gets_the_classes_and_fake(size: tuple[int, int]) -> None:
    network = BackboneDiscriminator(5, UNet(3, channels=4), channels=4)
    assert network(torch.randn(2, 3, *size)).shape == (2, 6, *size)


def test_backbone_of_timm_may_have_more_stages() -> None:
    network = BackboneDiscriminator(5, TimmBackbone("tf_efficientnet_lite0"), channels=4)
    assert len(network.stages) == 5
    assert network(torch.randn(1, 3, 32, 64)).shape == (1, 6, 32, 64)


def test_backbone_is_frozen_and_stays_in_eval_mode() -> None:
    network = BackboneDiscriminator(5, UNet(3, channels=4), channels=4).train()
    assert network.up[0].training
    assert not [m for m in network.backbone.modules() if m.training]
    before = {k: v.clone() for k, v in network.backbone.state_dict().items()}
    network(torch.randn(2, 3, 16, 16)).sum().backward()
    assert all(p.grad is None for p in network.backbone.parameters())
    assert all(v.equal(before[k]) for k, v in network.backbone.state_dict().items())


def test_conditioned_features_have_one_scale_whatever_the_stage() -> None:
    conditioning = Conditioning(6, 4).eval()
    features = 100 * torch.randn(2, 6, 3, 5)
    bounded = 1 / (1 + (-features).exp())
    centred = bounded - bounded.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(conditioning(features), conditioning.mix(scaled))
