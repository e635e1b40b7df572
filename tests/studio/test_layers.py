import pytest
import torch
from torch import Tensor

from semsynth.editing import EditError
from semsynth.editing.trajectory import Held
from semsynth.studio.layers import MAX_LAYERS, packed, read_packed, region_of_bytes, unpacked
from semsynth.studio.models import Models
from semsynth.studio.uploads import UploadError


def latents() -> Tensor:
    return torch.randn(1, 10, 128)


def test_latents_and_what_they_hold_come_back_through_the_page(models: Models) -> None:
    canvas = models.drag[0].canvas
    held = tuple(Held(latents(), torch.rand(64, 64) < 0.5) for _ in range(3))
    for layers in ((), held):
        w_plus = latents()
        rows = packed(w_plus, layers, canvas)
        again = read_packed(rows.numpy().tobytes(), canvas)
        assert torch.equal(again, rows)
        found, found_layers = unpacked(again, canvas)
        assert torch.equal(found, w_plus)
        assert len(found_layers) == len(layers)
        for layer, expected in zip(found_layers, layers, strict=True):
            assert torch.equal(layer.w_plus, expected.w_plus)
            assert torch.equal(layer.region, expected.region)


def test_what_cannot_be_is_refused(models: Models) -> None:
    canvas = models.drag[0].canvas
    for data in (b"", b"1234", bytes(4 * 10 * 128 * 3), b"\xff" * 4 * 10 * 128):
        with pytest.raises(UploadError):
            read_packed(data, canvas)
    with pytest.raises(UploadError, match="64 x 64"):
        region_of_bytes(bytes(65 * 64), canvas)
    with pytest.raises(EditError, match="another model"):
        unpacked(torch.zeros(2, 77), canvas)
    layers = (Held(latents(), torch.ones(64, 64, dtype=torch.bool)),) * MAX_LAYERS
    with pytest.raises(EditError, match="at most 63 regions"):
        packed(latents(), layers, canvas)
