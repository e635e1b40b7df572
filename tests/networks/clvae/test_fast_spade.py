from copy import deepcopy

import pytest
import torch

from semsynth.networks.clvae.fast_spade import FastSPADE, Painted, SPADEResBlock
from semsynth.networks.clvae.spade import SPADE, ModulatedResBlock
from tests.helpers.checks import assert_compiles


def plain_block(block: SPADEResBlock) -> ModulatedResBlock:
    """The block of plain SPADE layers, which are tested against their formula."""
    sizes = (block.conv_0.in_channels, block.conv_1.out_channels)
    plain = ModulatedResBlock(*sizes, lambda width: SPADE(width, 3, 4))
    plain.load_state_dict(block.state_dict())
    return plain


def painted() -> Painted:
    return Painted(torch.randint(0, 5, (2, 12, 16)), torch.randn(2, 5, 3))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["dense", "painted"])
def test_layer_equals_the_plain_one(kind: str, groups: int) -> None:
    layer, plain = FastSPADE(4, 4, 6, groups), SPADE(4, 4, 6, groups)
    plain.load_state_dict(layer.state_dict())
    layout = Painted(torch.randint(0, 5, (2, 12, 16)), torch.randn(2, 5, 4))
    x, dense = torch.randn(2, 4, 6, 8), layout.dense()
    expected = plain(x, dense)
    torch.testing.assert_close(layer(x, dense if kind == "dense" else layout), expected)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("out_channels", [4, 2])
def test_block_equals_the_plain_one(out_channels: int, training: bool) -> None:
    block = SPADEResBlock(4, out_channels, 3, 4).train(training)
    for buffer in block.buffers():
        if buffer.ndim == 1:
            buffer.uniform_(0.5, 1.5)  # statistics differ from layer to layer, as in imports
    plain = plain_block(block).train(training)
    x, layout = torch.randn(2, 4, 6, 8), torch.rand(2, 3, 12, 16)
    torch.testing.assert_close(block(x, layout), plain(x, layout))
    torch.testing.assert_close(list(block.buffers()), list(plain.buffers()))


def test_block_equals_the_plain_one_on_a_painted_layout() -> None:
    block, layout, x = SPADEResBlock(4, 2, 3, 4), painted(), torch.randn(2, 4, 6, 8)
    expected = plain_block(block)(x, layout.dense())
    torch.testing.assert_close(block(x, layout), expected, atol=1e-5, rtol=1e-4)


def test_resblock_compiles_for_training_without_graph_breaks() -> None:
    block = SPADEResBlock(4, 2, 3, 4)
    copy = deepcopy(block)
    x, layout = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 4, 4)
    image = torch.compile(block, backend="aot_eager", fullgraph=True)(x, layout)
    torch.testing.assert_close(image, copy(x, layout))
    image.sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    # running statistics and singular vectors
    torch.testing.assert_close(list(block.buffers()), list(copy.buffers()))


def test_block_compiles_with_a_painted_layout() -> None:
    assert_compiles(SPADEResBlock(4, 2, 3, 4).eval(), torch.randn(2, 4, 6, 8), painted())
