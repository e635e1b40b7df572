from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.spade import (
    SPADE,
    SPADEGenerator,
    SPADEResBlock,
    Upsampling,
    initialise,
    one_hot,
    resize_layout,
    spectral_conv,
    start_grid,
)


def tiny_generator(upsampling: Upsampling = "normal") -> SPADEGenerator:
    blocks = 8 if upsampling == "most" else 7
    return SPADEGenerator(
        4,
        (128, 128),
        channels=2,
        layout_channels=[3] * blocks,
        spade_channels=4,
        upsampling=upsampling,
    )


def layouts(count: int = 7, batch: int = 2) -> list[Tensor]:
    return [torch.rand(batch, 3, 8 * 2 ** (i % 3), 16) for i in range(count)]


def test_one_hot_equals_torch_and_is_zero_where_ignored() -> None:
    mask = torch.randint(0, 5, (2, 6, 7))
    expected = F.one_hot(mask, 5).permute(0, 3, 1, 2).float()
    mask[0, 2, 3] = 255
    expected[0, :, 2, 3] = 0
    torch.testing.assert_close(one_hot(mask, 5), expected)


@pytest.mark.parametrize("factor", [2, 4, 8, 16, 32])
def test_nearest_resize_of_labels_is_a_strided_pick(factor: int) -> None:
    labels = torch.randint(0, 9, (1, 1, 256, 512)).float()
    resized = resize_layout(labels, (256 // factor, 512 // factor))
    torch.testing.assert_close(resized, labels[..., ::factor, ::factor])


def test_resize_layout_does_not_copy_a_layout_of_the_right_size() -> None:
    layout = torch.rand(1, 2, 4, 6)
    assert resize_layout(layout, (4, 6)) is layout


def test_spade_equals_its_formula_pixel_by_pixel() -> None:
    spade = SPADE(2, 3, hidden_channels=4)
    x, layout = torch.randn(2, 2, 4, 4), torch.rand(2, 3, 8, 8)
    hidden = F.relu(spade.shared[0](layout[:, :, ::2, ::2]))
    gamma, beta = spade.gamma(hidden), spade.beta(hidden)
    expected = torch.empty_like(x)
    for c in range(2):
        mean, var = x[:, c].mean(), x[:, c].var(correction=0)
        expected[:, c] = (x[:, c] - mean) / (var + 1e-5).sqrt() * (1 + gamma[:, c]) + beta[:, c]
    torch.testing.assert_close(spade(x, layout), expected)


def block_by_formula(block: SPADEResBlock, x: Tensor, layout: Tensor) -> Tensor:
    """The block with each SPADE layer on its own, as the paper draws it."""

    def spade(layer: SPADE, x: Tensor) -> Tensor:
        hidden = layer.shared(F.interpolate(layout, size=x.shape[-2:]))
        return layer.norm(x) * (1 + layer.gamma(hidden)) + layer.beta(hidden)

    h = block.conv_0(F.leaky_relu(spade(block.spade_0, x), 0.2))
    h = block.conv_1(F.leaky_relu(spade(block.spade_1, h), 0.2))
    return h + (block.conv_s(spade(block.spade_s, x)) if block.learned_shortcut else x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("out_channels", [4, 2])
def test_resblock_equals_its_layers_one_by_one(out_channels: int, training: bool) -> None:
    block = SPADEResBlock(4, out_channels, 3, 4).train(training)
    for buffer in block.buffers():
        if buffer.ndim == 1:
            buffer.uniform_(0.5, 1.5)  # statistics differ from layer to layer, as in imports
    copy = deepcopy(block)
    x, layout = torch.randn(2, 4, 6, 8), torch.rand(2, 3, 12, 16)
    torch.testing.assert_close(block(x, layout), block_by_formula(copy, x, layout))
    for buffer, expected in zip(block.buffers(), copy.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected)


def test_resblock_of_other_width_learns_its_shortcut() -> None:
    block = SPADEResBlock(4, 2, 3, 4)
    assert block.conv_0.out_channels == 2
    assert block.conv_s.bias is None
    assert block(torch.randn(2, 4, 5, 5), torch.rand(2, 3, 9, 9)).shape == (2, 2, 5, 5)


def test_spectral_conv_has_unit_spectral_norm_once_converged() -> None:
    conv = spectral_conv(6, 8, 3)
    for _ in range(500):
        _ = conv.weight
    norm = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    torch.testing.assert_close(norm, torch.tensor(1.0), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("image_size", "upsampling", "grid"),
    [
        ((256, 256), "normal", (8, 8)),
        ((256, 256), "more", (4, 4)),
        ((256, 512), "more", (4, 8)),
        ((512, 512), "most", (4, 4)),
    ],
)
def test_start_grid_of_the_paper(
    image_size: tuple[int, int], upsampling: Upsampling, grid: tuple[int, int]
) -> None:
    assert start_grid(image_size, upsampling) == grid


@pytest.mark.parametrize("upsampling", ["normal", "more", "most"])
def test_generator_gives_images_of_its_size_in_range(upsampling: Upsampling) -> None:
    generator = tiny_generator(upsampling)
    image = generator(torch.randn(2, 4), layouts(len(generator.blocks)))
    assert image.shape == (2, 3, 128, 128)
    assert image.abs().max() <= 1


def test_generator_names_the_divisor_of_a_wrong_image_size() -> None:
    with pytest.raises(ValueError, match=r"divisible by 64 .* got \(256, 480\)"):
        start_grid((256, 480), "more")


def test_generator_refuses_a_wrong_number_of_layouts() -> None:
    with pytest.raises(ValueError, match=r"7 entries .* got 6"):
        SPADEGenerator(4, (64, 64), 2, layout_channels=[3] * 6)


def test_gradient_reaches_every_parameter_of_the_generator() -> None:
    generator = tiny_generator()
    generator(torch.randn(2, 4), layouts()).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in generator.parameters())


def test_generator_in_eval_does_not_mix_samples() -> None:
    generator = tiny_generator().eval()
    z, maps = torch.randn(3, 4), layouts(batch=3)
    with torch.no_grad():
        alone = generator(z[1:2], [layout[1:2] for layout in maps])
        torch.testing.assert_close(generator(z, maps)[1:2], alone)


def test_generator_is_finite_in_bfloat16_and_channels_last() -> None:
    generator = tiny_generator().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        image = generator(torch.randn(2, 4), layouts())
    assert image.dtype == torch.float32
    assert image.isfinite().all()


def test_resblock_compiles_for_training_without_graph_breaks() -> None:
    block = SPADEResBlock(4, 2, 3, 4)
    copy = deepcopy(block)
    x, layout = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 4, 4)
    image = torch.compile(block, backend="aot_eager", fullgraph=True)(x, layout)
    torch.testing.assert_close(image, copy(x, layout))
    image.sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    for buffer, expected in zip(block.buffers(), copy.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected)  # running statistics, singular vectors


def std(weight: Tensor) -> float:
    return weight.std().item()


@pytest.mark.parametrize(("mode", "expected"), [("upstream_gpu", 0.0241), ("xavier", 0.000833)])
def test_initialise_of_spectral_convolutions(mode: str, expected: float) -> None:
    conv = spectral_conv(64, 64, 3)
    initialise(conv, mode)  # type: ignore[arg-type]
    weight = conv.get_parameter("parametrizations.weight.original")
    assert std(weight) == pytest.approx(expected, rel=0.05)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_initialise_keeps_the_spectral_norm_near_one() -> None:
    conv = spectral_conv(64, 64, 3)
    initialise(conv, "xavier")
    norm = torch.linalg.matrix_norm(conv.eval().weight.flatten(1), 2)
    assert norm.item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("mode", ["upstream_gpu", "xavier"])
def test_initialise_draws_other_layers_from_xavier_and_leaves_embeddings(mode: str) -> None:
    net = nn.ModuleList([nn.Conv2d(64, 64, 3), nn.Linear(200, 100), nn.Embedding(100, 100)])
    initialise(net, mode)  # type: ignore[arg-type]
    conv, linear, embedding = net.parameters(), net[1].bias, net[2].weight
    assert std(next(conv)) == pytest.approx(0.02 * (2 / (2 * 64 * 9)) ** 0.5, rel=0.05)
    assert isinstance(linear, Tensor)
    assert not linear.any()
    assert isinstance(embedding, Tensor)
    assert std(embedding) == pytest.approx(1, rel=0.1)


def test_checkpointing_changes_neither_gradients_nor_statistics() -> None:
    torch.manual_seed(0)
    generator = tiny_generator()
    again = deepcopy(generator)
    again.checkpointing = True
    z, maps = torch.randn(2, 4), layouts()
    for network in (generator, again):
        network(z, maps).square().sum().backward()
    for p, q in zip(generator.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    for buffer, expected in zip(generator.buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected)
