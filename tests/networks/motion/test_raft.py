import pytest
import torch
import torch.nn.functional as F

from semsynth.networks.motion.geometry import pixel_grid
from semsynth.networks.motion.raft import (
    RAFT,
    ConvGRU,
    RAFTMotion,
    correlation_pyramid,
    global_match,
    lookup,
    upsample,
)


def tiny(num_updates: int = 2) -> RAFT:
    torch.manual_seed(0)
    return RAFT(4, 8, 8, 4, num_levels=2, radius=1, num_updates=num_updates)


def test_estimates_have_the_size_of_the_images() -> None:
    flows, log_expansion = tiny()(torch.rand(2, 3, 32, 24), torch.rand(2, 3, 32, 24))
    assert flows.shape == (3, 2, 2, 32, 24)  # the global match, then two updates
    assert log_expansion.shape == (2, 1, 32, 24)


def test_the_default_network_has_less_than_a_million_parameters() -> None:
    assert sum(p.numel() for p in RAFT().parameters()) < 1_000_000


def test_pairs_of_a_batch_do_not_mix() -> None:
    network, a, b = tiny(), torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(network(a, b).flows[:, 1:2], network(a[1:2], b[1:2]).flows)


def test_pyramid_is_the_scaled_product_of_features_and_its_means() -> None:
    a, b = torch.randn(2, 6, 4, 4), torch.randn(2, 6, 4, 4)
    fine, coarse = correlation_pyramid(a, b, 2)
    expected = (a[1, :, 2, 3] * b[1, :, 0, 1]).sum() / 6**0.5
    torch.testing.assert_close(fine[16 + 2 * 4 + 3, 0, 0, 1], expected)
    torch.testing.assert_close(coarse[5, 0, 1, 0], fine[5, 0, 2:, :2].mean())


def test_global_match_finds_a_cell_that_is_like_no_other() -> None:
    correlation = torch.zeros(2 * 12, 1, 3, 4)
    correlation[12 + 1 * 4 + 2, 0, 2, 0] = 100.0  # in pair 1, cell (x 2, y 1) is like (0, 2)
    flow = global_match(correlation, 2, torch.tensor(0.5))
    assert flow.shape == (2, 2, 3, 4)
    torch.testing.assert_close(flow[1, :, 1, 2], torch.tensor([-2.0, 1.0]))


def test_global_match_stays_where_all_cells_are_alike() -> None:
    flow = global_match(torch.zeros(9, 1, 3, 3), 1, torch.tensor(50.0))
    torch.testing.assert_close(flow, torch.zeros(1, 2, 3, 3))


def test_lookup_reads_around_each_cell_on_each_scale() -> None:
    level = torch.randn(16, 1, 4, 4)
    pyramid = [level, F.avg_pool2d(level, 2)]
    flow = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    place = pixel_grid(4, 4, torch.device("cpu"))[None] + flow
    values = lookup(pyramid, place, radius=1)
    assert values.shape == (1, 18, 4, 4)
    cell = 2 * 4 + 1  # y = 2, x = 1, moved to y = 1, x = 2
    torch.testing.assert_close(values[0, :9, 2, 1], level[cell, 0, 0:3, 1:4].flatten())
    # Cell (1, 2) of scale 0 lies at (0.25, 0.75) on scale 1.
    coarse = pyramid[1][cell, 0]
    rows, columns = torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75])
    torch.testing.assert_close(values[0, 9 + 4, 2, 1], rows @ coarse @ columns)


def test_lookup_beyond_the_border_is_zero() -> None:
    level = torch.ones(16, 1, 4, 4)
    far = torch.full((1, 2, 4, 4), 50.0)
    assert not lookup([level], far, radius=1).any()


def test_upsampling_with_one_certain_neighbour_copies_its_cell() -> None:
    field = torch.randn(1, 2, 3, 3)
    weights = torch.zeros(1, 9, 16, 3, 3)
    weights[:, 5] = 100.0  # the neighbour to the right
    enlarged = upsample(field, weights.flatten(1, 2))
    shifted = torch.cat([field[..., 1:], field[..., -1:]], -1)
    torch.testing.assert_close(enlarged, F.interpolate(shifted, scale_factor=4))


def test_gru_keeps_its_state_when_the_update_gate_is_shut() -> None:
    gru = ConvGRU(4, 3)
    assert gru.gates.bias is not None
    torch.nn.init.constant_(gru.gates.bias, -100.0)
    hidden = torch.rand(1, 4, 5, 5)
    torch.testing.assert_close(gru(hidden, torch.rand(1, 3, 5, 5)), hidden)


def test_estimator_returns_the_last_flow_of_the_asked_direction() -> None:
    network, a, b = tiny().eval(), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    motion = RAFTMotion(network)(a, b)
    flows, log_expansion = network(a, b)
    torch.testing.assert_close(motion.flow, flows[-1])
    torch.testing.assert_close(motion.log_expansion, log_expansion)
    assert motion.valid.dtype == torch.bool
    assert motion.valid.shape == (2, 1, 32, 32)
    assert not motion.flow.requires_grad


@pytest.mark.parametrize("size", [8, 30])
def test_images_of_a_wrong_size_are_refused(size: int) -> None:
    image = torch.zeros(1, 3, size, size)
    with pytest.raises(ValueError, match=f"multiples of 4 and at least 16, got {size} x {size}"):
        tiny()(image, image)
