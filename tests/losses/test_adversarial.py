import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.losses.adversarial import BackboneAdversary, PatchAdversary, SegmentationAdversary
from semsynth.losses.losses import (
    class_balance,
    contrastive_loss,
    diversity_loss,
    label_mix,
    segmentation_loss,
)
from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.clvae.patch_discriminator import MultiscaleDiscriminator
from semsynth.networks.rivals.backbone_discriminator import BackboneDiscriminator
from semsynth.networks.unet import UNet


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    mask = torch.randint(0, 3, (2, 8, 8)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return one_hot(mask, 3), mask, torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)


def test_patch_adversary_is_hinge_and_weighted_feature_matching() -> None:
    layout, mask, fake, real = inputs()
    discriminator = MultiscaleDiscriminator(6, channels=4).eval()
    terms = PatchAdversary(10.0).generator_terms(discriminator, layout, mask, fake, real)
    on_fake, on_real = discriminator(layout, fake), discriminator(layout, real)
    gan = -sum(logits.mean() for _, logits in on_fake) / 2
    matching = sum(
        (a - b).abs().mean()
        for (of_fake, _), (of_real, _) in zip(on_fake, on_real, strict=True)
        for a, b in zip(of_fake, of_real, strict=True)
    )
    torch.testing.assert_close(terms["gan_g"], gan, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(terms["feature_matching"], 5 * matching, atol=1e-4, rtol=1e-4)
    loss = PatchAdversary(10.0).discriminator_loss(discriminator, layout, mask, fake, real)
    expected = sum(
        (F.relu(1 - r).mean() + F.relu(1 + f).mean()) / 2
        for (_, f), (_, r) in zip(on_fake, on_real, strict=True)
    )
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-4)


class Constant(nn.Module):
    """Gives each pixel the same logits, and the mean of the image on top of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.3, -0.2, 0.5, 0.1]))

    def forward(self, image: Tensor) -> Tensor:
        logits = self.logits.view(1, 4, 1, 1).expand(len(image), -1, *image.shape[2:])
        return logits + F.pad(image.mean(1, keepdim=True), (0, 0, 0, 0, 0, 3))


def test_segmentation_adversary_equals_its_formula() -> None:
    layout, mask, fake, real = inputs()
    network, adversary = Constant(), SegmentationAdversary(0.0)
    balance = class_balance(mask, 3)
    on_fake, on_real = (network(x).log_softmax(1) for x in (fake, real))

    def of_classes(scores: Tensor) -> Tensor:
        picked = scores.gather(1, mask[:, None])[:, 0]
        return -(balance[mask] * picked).mean()

    terms = adversary.generator_terms(network, layout, mask, fake, real)
    torch.testing.assert_close(terms["gan_g"], of_classes(on_fake))
    loss = adversary.discriminator_loss(network, layout, mask, fake, real)
    torch.testing.assert_close(loss, of_classes(on_real) - on_fake[:, 3].mean())


def test_label_mix_adds_the_inconsistency_on_mixtures() -> None:
    layout, mask, fake, real = inputs()
    network = Constant()  # pixel by pixel, so that nothing is inconsistent
    losses = [
        SegmentationAdversary(w).discriminator_loss(network, layout, mask, fake, real)
        for w in (0.0, 10.0)
    ]
    torch.testing.assert_close(*losses)
    blur = nn.Sequential(nn.AvgPool2d(9, 1, 4), network)
    losses = [
        SegmentationAdversary(w).discriminator_loss(blur, layout, mask, fake, real)
        for w in (0.0, 10.0)
    ]
    assert losses[1] > losses[0] + 1e-4


def test_mixed_images_are_real_or_fake_by_class() -> None:
    _, mask, fake, real = inputs()
    mixed, where = label_mix(real, fake, mask, 3)
    assert torch.equal(mixed, torch.where(where, real, fake))
    for b in range(2):
        for c in range(3):
            values = where[b, 0][mask[b] == c]
            assert bool(values.all()) or not bool(values.any())


def test_class_balance_gives_all_classes_the_same_share() -> None:
    mask = torch.tensor([[[0, 0, 0, 1], [255, 2, 2, 2]]])
    balance = class_balance(mask, 4)
    torch.testing.assert_close(balance, torch.tensor([7 / 9, 7 / 3, 7 / 9, 0.0]))


def test_ignored_pixels_do_not_count_in_the_segmentation_loss() -> None:
    logits = torch.randn(1, 4, 2, 2)
    mask = torch.tensor([[[0, 255], [2, 255]]])
    expected = F.cross_entropy(logits, mask, ignore_index=255)
    torch.testing.assert_close(segmentation_loss(logits, mask), expected)
    assert segmentation_loss(logits, torch.full_like(mask, 255)) == 0


def test_contrastive_loss_equals_a_loop_over_places() -> None:
    fake, real = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    losses = []
    for a, b in zip(fake.flatten(2), real.flatten(2), strict=True):
        for i in range(12):
            scores = torch.stack([F.cosine_similarity(a[:, i], b[:, j], 0) for j in range(12)])
            losses.append(-(scores / 0.07).log_softmax(0)[i])
    torch.testing.assert_close(contrastive_loss(fake, real), torch.stack(losses).mean())
    assert contrastive_loss(10 * real, real) < contrastive_loss(fake, real)


def test_diversity_loss_by_hand() -> None:
    pairs = torch.zeros(3, 2, 3, 2, 2)
    pairs[1, 1] = 0.25
    pairs[2, 0, 0] = -1.5  # one channel of three: 0.5
    torch.testing.assert_close(diversity_loss(pairs, 0.4), torch.tensor((0.4 + 0.15) / 3))


def test_backbone_adversary_adds_the_contrast_of_the_coarsest_features() -> None:
    layout, mask, fake, real = inputs()
    network = BackboneDiscriminator(3, UNet(2, channels=4), channels=4).eval()
    fake.requires_grad_()
    terms = BackboneAdversary(0.0, 2.0).reconstruction_terms(network, fake, real)
    features = network.backbone.features
    expected = 2 * contrastive_loss(features(fake)[-1], features(real)[-1])
    torch.testing.assert_close(terms, {"contrastive": expected})
    (gradient,) = torch.autograd.grad(terms["contrastive"], fake)
    assert gradient.any()
    assert not BackboneAdversary(0.0, 0.0).reconstruction_terms(network, fake, real)
    losses = []
    for adversary in (SegmentationAdversary(3.0), BackboneAdversary(3.0, 2.0)):
        torch.manual_seed(0)
        losses.append(adversary.discriminator_loss(network, layout, mask, fake, real))
    torch.testing.assert_close(*losses)
