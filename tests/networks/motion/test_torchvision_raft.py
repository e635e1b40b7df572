import pytest
import torch

from semsynth.networks.motion.torchvision_raft import TorchvisionRAFT


def test_motion_has_the_size_of_the_images() -> None:
    torch.manual_seed(0)
    image_a, image_b = torch.rand(2, 1, 3, 128, 136)
    motion = TorchvisionRAFT("small", num_updates=1).eval()(image_a, image_b)
    assert motion.flow.shape == (1, 2, 128, 136)
    assert motion.log_expansion.shape == motion.valid.shape == (1, 1, 128, 136)
    assert motion.valid.dtype == torch.bool


def test_small_images_are_refused() -> None:
    image = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match="multiples of 8 and at least 128, got 64 x 64"):
        TorchvisionRAFT("small")(image, image)
