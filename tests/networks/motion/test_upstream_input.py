import pytest
import torch
from torch import Tensor, nn

from semsynth.networks.motion.geometry import Motion
from semsynth.networks.motion.upstream_input import UpstreamInput
from semsynth.weights.estimators import load_motion_estimator


class Recorder(nn.Module):
    """Keeps what it is given."""

    def forward(self, image_a: Tensor, image_b: Tensor) -> Motion:
        self.seen = image_a, image_b
        return Motion(image_a, image_a, image_a)


def test_second_image_is_half_of_the_range_darker_and_channels_are_swapped() -> None:
    a, b = torch.rand(2, 1, 3, 4, 4) * 2 - 1
    recorder = Recorder()
    UpstreamInput(recorder)(a, b)
    first, second = recorder.seen
    # released code: the first is (x + 1) / 2, the second x / 2, in the range [0, 1]
    torch.testing.assert_close((first + 1) / 2, ((a + 1) / 2)[:, [2, 1, 0]])
    torch.testing.assert_close((second + 1) / 2, (b / 2)[:, [2, 1, 0]])


def test_only_networks_take_such_input() -> None:
    assert isinstance(load_motion_estimator("toy_flow", upstream_input=True), UpstreamInput)
    with pytest.raises(ValueError, match="choose a network"):
        load_motion_estimator("dis", upstream_input=True)
