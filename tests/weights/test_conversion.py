import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from semsynth.networks.inception import Inception, convolutions
from semsynth.weights import conversion

TINY = "test_efficientnet.r160_in1k"


class Convolution(nn.Module):
    """What a TorchScript of Inception has for each convolution."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        for name in ("beta", "mean", "var"):
            self.register_buffer(name, torch.rand(shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_inception_has_the_numbers_of_the_torchscript_in_its_order() -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        network = Inception()
    shapes = [block.get_submodule("conv").weight.shape for _, block in convolutions(network)]
    script = nn.Sequential(*(Convolution(shape) for shape in shapes))  # type: ignore[arg-type]
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(script), buffer)
    state = conversion.inception_of_torchscript(buffer.getvalue())
    for i, (name, _) in enumerate(convolutions(network)):
        assert state[f"{name}.conv.weight"].equal(script[i].get_parameter("weight"))
        assert (state[f"{name}.bn.weight"] == 1).all()
        ours = (state[f"{name}.bn.{key}"] for key in ("bias", "running_mean", "running_var"))
        for value, key in zip(ours, ("beta", "mean", "var"), strict=True):
            assert value.equal(script[i].get_buffer(key))
    assert state.keys() == network.state_dict().keys()


def pickled(**convolutions: np.ndarray[Any, Any]) -> bytes:
    entries = {
        name: {"kernel": kernel, "bias": kernel[0, 0, 0]} for name, kernel in convolutions.items()
    }
    return pickle.dumps({"Net_0": entries, "NetLinLayer_0": {}}, protocol=3)


def test_kernel_of_flax_gives_the_correlation_that_it_gave() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float32)  # (H, W, in, out)
    image = random.normal(size=(2, 3, 3)).astype(np.float32)
    state = conversion.trunk_of_flax(pickled(Conv_0=kernel), layers=(7,))
    expected = np.einsum("hwio,ihw->o", kernel, image) + kernel[0, 0, 0]
    convolved = nn.functional.conv2d(
        torch.from_numpy(image)[None], state["features.7.weight"], state["features.7.bias"]
    )
    torch.testing.assert_close(convolved.flatten(), torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("model", "layers"), [("alexnet", conversion.ALEXNET), ("vgg16", conversion.VGG16)]
)
def test_layers_are_the_convolutions_of_torchvision(model: str, layers: tuple[int, ...]) -> None:
    with torch.device("meta"):
        features = getattr(torchvision.models, model)().features
    assert [i for i, layer in enumerate(features) if isinstance(layer, nn.Conv2d)] == list(layers)


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path, ("anything",))


def test_pickle_that_names_more_than_arrays_is_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"names pathlib\.Path, not an array"):
        conversion.trunk_of_flax(pickle.dumps(Trap()), layers=(0,))


def test_state_of_another_code_of_the_same_network_is_taken_in_order() -> None:
    torch.manual_seed(0)
    original = timm.create_model(TINY).state_dict()
    buffer = io.BytesIO()
    torch.save({f"_{i}": value for i, value in enumerate(original.values())}, buffer)
    state = conversion.timm_in_order(buffer.getvalue(), TINY)
    assert state.keys() == original.keys()
    assert all(value.equal(original[key]) for key, value in state.items())
    torch.save({"only": torch.zeros(1)}, buffer := io.BytesIO())
    with pytest.raises(ValueError, match="zip"):
        conversion.timm_in_order(buffer.getvalue(), TINY)


def test_torch_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": Path("anything")}, tmp_path / "weights.pth")
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        conversion.read_pretrained(tmp_path / "weights.pth")
