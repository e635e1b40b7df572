from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semsynth.losses.losses import path_lengths
from semsynth.networks.noise import seeded_normal
from semsynth.networks.stylegan2.discriminator import StyleGAN2Discriminator
from semsynth.networks.stylegan2.generator import (
    MappingNetwork,
    StyledConv,
    StyleGAN2Generator,
    SynthesisBlock,
    SynthesisNetwork,
    ToRGB,
    channels_at,
    mix_styles,
    resolutions_of,
)
from semsynth.networks.stylegan2.layers import leaky_relu, upsample

W_DIM = 6


def tiny(image_size: int = 32, **changes: Any) -> StyleGAN2Generator:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channel_base": 128, "channel_max": 8, "mapping_layers": 2}
    generator = StyleGAN2Generator(image_size, 5, W_DIM, **(sizes | changes))
    for module in generator.modules():  # as after some training: noise and biases have an effect
        if isinstance(module, StyledConv):
            module.noise_strength.data.normal_()
        if isinstance(module, StyledConv | ToRGB):
            module.bias.data.normal_()
    return generator


def latents(generator: StyleGAN2Generator, batch_size: int = 2) -> Tensor:
    return torch.randn(batch_size, generator.num_ws, W_DIM)


def ready(batch_size: int = 2) -> tuple[SynthesisNetwork, Tensor]:
    generator = tiny()
    return generator.synthesis, latents(generator, batch_size)


def test_widths_are_those_of_config_f_and_half_of_them() -> None:
    full = [channels_at(r, 32768, 512) for r in resolutions_of(1024)]
    slim = [channels_at(r, 16384, 512) for r in resolutions_of(1024)]
    assert full == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert slim == [512, 512, 512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("image_size", [0, 8, 48, 100, 2048])
@pytest.mark.parametrize("network", [StyleGAN2Generator, StyleGAN2Discriminator])
def test_sizes_that_are_no_power_of_two_from_16_to_1024_are_refused(
    image_size: int, network: type[nn.Module]
) -> None:
    with pytest.raises(ValueError, match=f"from 16 to 1024, got image_size {image_size}"):
        network(image_size)


@pytest.mark.parametrize(("base", "most"), [(32, 512), (4096, 0)])
def test_widths_that_leave_no_channel_are_refused(base: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"{base} and channel_max {most} leave no channel at"):
        StyleGAN2Generator(64, channel_base=base, channel_max=most)


@pytest.mark.parametrize(("image_size", "num_ws"), [(16, 6), (64, 10), (256, 14), (1024, 18)])
def test_there_are_two_styles_for_each_doubling(image_size: int, num_ws: int) -> None:
    with torch.device("meta"):
        assert tiny(image_size, channel_base=2048).num_ws == num_ws


def test_mapping_normalises_and_then_stacks_scaled_layers() -> None:
    mapping, z = MappingNetwork(5, W_DIM, num_layers=3), torch.randn(4, 5)
    x = z / z.square().mean(1, keepdim=True).sqrt()
    layers: Any = mapping.layers
    for layer in layers:
        weight = layer.weight * 0.01 / x.shape[1] ** 0.5
        x = leaky_relu(x @ weight.t() + layer.bias * 0.01)
    torch.testing.assert_close(mapping(z), x)
    torch.testing.assert_close(mapping(7 * z), x)


def test_styled_convolution_adds_noise_and_bias_before_the_activation() -> None:
    layer = StyledConv(3, 5, 8, W_DIM)
    layer.noise_strength.data.fill_(0.7)
    layer.bias.data.normal_()
    x, w, noise = torch.randn(2, 3, 8, 8), torch.randn(2, W_DIM), torch.randn(2, 1, 8, 8)
    expected = leaky_relu(layer.conv(x, w) + 0.7 * noise + layer.bias.view(1, -1, 1, 1))
    torch.testing.assert_close(layer(x, w, noise), expected, atol=1e-5, rtol=1e-5)


def test_image_is_the_sum_of_the_colours_of_all_resolutions() -> None:
    synthesis, w_plus = ready()
    x, image = synthesis.constant.expand(2, -1, -1, -1), torch.zeros(2, 3, 2, 2)
    styles = [(0, 1), (1, 2, 3), (3, 4, 5), (5, 6, 7)]  # convolutions, then colours
    blocks: Any = synthesis.blocks
    for block, indices in zip(blocks, styles, strict=True):
        for conv, i in zip(block.convs, indices[:-1], strict=True):
            x = conv(x, w_plus[:, i], conv.noise)
        image = upsample(image) + block.to_rgb(x, w_plus[:, indices[-1]])
    torch.testing.assert_close(synthesis(w_plus), image, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_features_are_to_the_last_bit_those_of_a_full_synthesis(
    resolution: int, gradients: bool, batch_size: int
) -> None:
    synthesis, w_plus = ready(batch_size)
    seen: list[Tensor] = []
    for block in synthesis.blocks:
        assert isinstance(block, SynthesisBlock)
        if block.resolution == resolution:
            block.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.set_grad_enabled(gradients):
        image = synthesis(w_plus)
        features = synthesis.features(w_plus, resolution)
        both = synthesis.image_and_features(w_plus, resolution)
    assert features.shape[2:] == (resolution, resolution)
    assert torch.equal(features, seen[0])
    assert torch.equal(both[0], image)
    assert torch.equal(both[1], features)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_features_depend_on_exactly_the_first_styles(resolution: int) -> None:
    generator = tiny()
    w_plus = latents(generator, 1).requires_grad_()
    features = generator.synthesis.features(w_plus, resolution)
    (gradient,) = torch.autograd.grad(features.square().sum(), w_plus)
    needed = generator.synthesis.num_feature_ws(resolution)
    assert (gradient[0].abs().sum(1) > 0).tolist() == [i < needed for i in range(generator.num_ws)]
    assert torch.equal(generator.synthesis.features(w_plus[:, :needed], resolution), features)


def test_held_images_are_blended_at_one_resolution_before_the_finer_layers() -> None:
    generator = tiny()
    a, b = latents(generator).chunk(2)
    b[:, 3:] = a[:, 3:]  # those of the layers above 8x8
    region = torch.zeros(1, 1, 32, 32)
    region[..., :12] = 1  # the first three columns of 8x8
    S = generator.synthesis
    blocks: Any = S.blocks
    drawn = S(b, hold=S.hold(a, region, 8))
    x, images = [], []
    for w_plus in (a, b):
        x.append(S.features(w_plus, 8))
        colours = blocks[0].to_rgb(S.features(w_plus, 4), w_plus[:, 1])
        images.append(upsample(colours) + blocks[1].to_rgb(x[-1], w_plus[:, 3]))
    inside = torch.arange(8) < 3
    feature, image = (torch.where(inside, new, old) for old, new in (x, images))
    noise = S.stored_noise()
    for i in (2, 3):
        w = a[:, 2 * i - 1 : 2 * i + 1]
        feature = blocks[i](feature, w, noise[2 * i - 1 : 2 * i + 1])
        image = upsample(image) + blocks[i].to_rgb(feature, a[:, 2 * i + 1])
    torch.testing.assert_close(drawn, image)
    torch.testing.assert_close(S(b, hold=S.hold(a, torch.zeros_like(region), 8)), S(a))


def test_features_at_64_take_nine_styles() -> None:
    with torch.device("meta"):
        assert StyleGAN2Generator(256).synthesis.num_feature_ws(64) == 9


def test_nothing_above_the_features_is_computed_and_no_colours() -> None:
    generator = tiny()
    blocks: Any = generator.synthesis.blocks
    for module in (blocks[3], *(block.to_rgb for block in blocks)):
        module.register_forward_hook(lambda *_: pytest.fail("a block at 32x32 or colours were run"))
    generator.synthesis.features(latents(generator), 16)
    generator.synthesis.features_at(latents(generator)[:, :5], [16, 8])


def test_features_of_several_resolutions_come_in_the_order_asked_for() -> None:
    synthesis, w_plus = ready()
    found = synthesis.features_at(w_plus, [16, 4, 32])
    for features, resolution in zip(found, [16, 4, 32], strict=True):
        assert torch.equal(features, synthesis.features(w_plus, resolution))
    with pytest.raises(ValueError, match="resolutions is empty"):
        synthesis.features_at(w_plus, [])


def test_random_noise_of_lower_layers_does_not_depend_on_how_far_synthesis_goes() -> None:
    synthesis, w_plus = ready()
    torch.manual_seed(3)
    expected = synthesis.image_and_features(w_plus, 8, "random")[1]
    torch.manual_seed(3)
    assert torch.equal(synthesis.features(w_plus, 8, "random"), expected)


@pytest.mark.parametrize("noise", ["stored", "none"])
def test_stored_noise_and_no_noise_give_the_same_image_twice(noise: Any) -> None:
    synthesis, w_plus = ready()
    first = synthesis(w_plus, noise)
    assert torch.equal(synthesis(w_plus, noise), first)
    assert not torch.allclose(synthesis(w_plus, "random"), first)


def test_no_noise_is_noise_of_strength_zero() -> None:
    synthesis, w_plus = ready()
    expected = synthesis(w_plus, "none")
    for conv in synthesis._convs():
        conv.noise_strength.data.zero_()
    torch.testing.assert_close(synthesis(w_plus, "random"), expected)


def test_random_noise_differs_between_samples() -> None:
    synthesis, w_plus = ready(1)
    first, second = synthesis(w_plus.expand(2, -1, -1), "random")
    assert not torch.allclose(first, second)


def test_given_noise_is_used_in_the_order_of_the_layers() -> None:
    synthesis, w_plus = ready()
    stored = synthesis.stored_noise()
    sizes = [noise.shape[-1] for noise in stored]
    assert sizes == [4, 8, 8, 16, 16, 32, 32]
    assert torch.equal(synthesis(w_plus, stored), synthesis(w_plus, "stored"))
    for_each = [torch.randn(2, 1, size, size) for size in sizes]
    together = synthesis(w_plus, for_each)
    alone = synthesis(w_plus[1:], [noise[1:] for noise in for_each])
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)


def test_mixed_styles_change_at_the_cut() -> None:
    w_a, w_b = torch.zeros(4, 6, W_DIM), torch.ones(4, 6, W_DIM)
    mixed = mix_styles(w_a, w_b, torch.tensor([1, 3, 5, 6]))
    assert mixed.sum(2).div(W_DIM).tolist() == [
        [0, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("truncation", [0.0, 0.7, 1.0, 1.5])
def test_truncation_moves_latents_towards_the_mean(truncation: float) -> None:
    generator = tiny()
    generator.mean_latent.normal_()
    z = torch.randn(2, 5)
    w, mean = generator.mapping(z), generator.mean_latent
    moved = mean + truncation * (w - mean)
    torch.testing.assert_close(generator.truncate(w, truncation), moved)
    expected = generator.synthesis(generator.repeat(moved))
    torch.testing.assert_close(generator(z, truncation), expected)


def test_estimated_mean_latent_is_the_mean_of_the_mapped_samples() -> None:
    generator = tiny()
    generator.estimate_mean_latent(2500)
    z = seeded_normal(torch.arange(2500), 5)
    torch.testing.assert_close(generator.mean_latent, generator.mapping(z).mean(0))


def test_path_lengths_pass_gradcheck_in_the_parameters(float64: None) -> None:
    generator = tiny(16, channel_base=32, channel_max=3)
    synthesis, w_plus = generator.synthesis, latents(generator).requires_grad_()
    direction = torch.randn(2, 3, 16, 16)
    # Biases have influence only through the kinks of the activation.
    parameters = {
        k: p.detach().clone().requires_grad_()
        for k, p in synthesis.named_parameters()
        if k.endswith("weight") or k == "constant"
    }

    def lengths(*values: Tensor) -> Tensor:
        state = dict(zip(parameters, values, strict=True))
        image = torch.func.functional_call(synthesis, state, (w_plus,))
        return path_lengths(image, w_plus, direction)

    assert torch.autograd.gradcheck(lengths, tuple(parameters.values()), fast_mode=True)


def test_synthesis_passes_gradcheck_and_gradgradcheck_in_the_latents(float64: None) -> None:
    generator = tiny(16, channel_base=32, channel_max=3)
    w_plus = latents(generator).requires_grad_()
    assert torch.autograd.gradcheck(generator.synthesis, w_plus, fast_mode=True)
    assert torch.autograd.gradgradcheck(generator.synthesis, w_plus, fast_mode=True)


def test_mapping_and_colours_stay_in_float32_under_autocast() -> None:
    generator, z = tiny(channel_max=16), torch.randn(4, 5)
    seen: dict[str, torch.dtype] = {}
    for name, module in generator.named_modules():
        if isinstance(module, ToRGB | StyledConv):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: seen.update({name: output.dtype})
            )
    w, expected = generator.mapping(z), generator(z)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(generator.mapping(z), w)
        image = generator(z)
    assert image.dtype == torch.float32
    for name, dtype in seen.items():
        assert dtype == (torch.float32 if name.endswith("to_rgb") else torch.bfloat16), name
    error = (image - expected).square().mean().sqrt() / expected.std()
    assert 0 < error < 0.02


def test_latents_resolutions_and_noise_maps_that_do_not_fit_are_refused() -> None:
    synthesis = tiny().synthesis
    for shape in [(2, 7, W_DIM), (2, 9, W_DIM), (2, W_DIM)]:
        with pytest.raises(ValueError, match=r"shape \(B, 8, w_dim\).*repeat a single one"):
            synthesis(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"shape \(B, 5, w_dim\)"):
        synthesis.features(torch.zeros(2, 4, W_DIM), 16)
    w_plus = torch.zeros(2, 8, W_DIM)
    with pytest.raises(ValueError, match="32x32 images has features at 4, 8, 16, 32, not at 64"):
        synthesis.features(w_plus, 64)
    with pytest.raises(ValueError, match="each of the 7 convolutions, from 4x4 upwards, got 2"):
        synthesis(w_plus, [torch.zeros(1, 1, 4, 4)] * 2)
