from typing import Any

import pytest
import torch
from torch import Tensor

from semsynth.networks.clvae.encoder import CLVAEEncoder
from semsynth.networks.clvae.generator import CLVAEGenerator


def tiny(num_levels: int = 5, **switches: Any) -> CLVAEGenerator:
    sizes: Any = {"channels": 2, "z_dim": 6, "code_dim": 3, "spade_channels": 4}
    return CLVAEGenerator(4, (64, 64), num_levels=num_levels, **sizes, **switches)


def codes(generator: CLVAEGenerator, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.randint(0, 4, (batch, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return mask, torch.randn(batch, 6), torch.randn(batch, *generator.code_shape)


def code_maps(generator: CLVAEGenerator, mask: Tensor, z_local: Tensor) -> list[Tensor]:
    return [layout.dense() for layout in generator.painted_codes(mask, z_local)[:-1]]


def test_code_maps_equal_a_loop_over_pixels() -> None:
    generator = tiny()
    mask, _, z_local = codes(generator)
    mask[0, :9] = 255
    for j, code_map in enumerate(code_maps(generator, mask, z_local)):
        labels = mask[:, :: 2 ** (j + 1), :: 2 ** (j + 1)]
        expected = torch.zeros(2, 3, *labels.shape[1:])
        for b, y, x in (labels != 255).nonzero().tolist():
            c = labels[b, y, x]
            expected[b, :, y, x] = generator.embedding.weight[c] + z_local[b, j, c]
        assert torch.equal(code_map, expected)


def test_finest_code_of_a_class_changes_the_image_around_its_pixels_only() -> None:
    generator = tiny().eval()
    mask, z_global, z_local = codes(generator, 1)
    mask = torch.zeros_like(mask)
    mask[:, :, 32:] = 1
    other = z_local.clone()
    other[:, 0, 1] += 3
    with torch.no_grad():
        change = generator(mask, z_global, z_local) != generator(mask, z_global, other)
    reach = 2 * 4 + 3  # up_2 at half size: SPADE 2, two convolutions; then up_3 and to_image
    assert not change[..., : 32 - reach].any()
    assert change[..., 32:].any()


def test_code_of_an_absent_class_does_not_change_the_image() -> None:
    generator = tiny().eval()
    mask, z_global, z_local = codes(generator)
    mask = mask.clamp_max(2)
    other = z_local.clone()
    other[:, :, 3] += 1
    with torch.no_grad():
        assert torch.equal(generator(mask, z_global, z_local), generator(mask, z_global, other))


def test_one_code_for_all_classes_is_added_to_every_embedding() -> None:
    generator = tiny(class_wise=False)
    mask, _, z_local = codes(generator)
    code_map = code_maps(generator, mask, z_local)[1]
    expected = generator.embedding(mask[:, ::4, ::4]) + z_local[:, 1, 0, None, None]
    torch.testing.assert_close(code_map, expected.permute(0, 3, 1, 2))


def test_one_code_for_all_levels_is_painted_at_every_size() -> None:
    generator = tiny(layer_wise=False)
    mask, _, z_local = codes(generator)
    maps = code_maps(generator, mask, z_local)
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4, 2]
    assert torch.equal(maps[2], maps[0][:, :, ::4, ::4])


@pytest.mark.parametrize(
    ("num_levels", "class_wise", "layer_wise", "layout_channels"),
    [
        (5, True, True, [3, 3, 3, 3, 3, 3, 4]),
        (3, True, True, [4, 4, 4, 3, 3, 3, 4]),
        (0, True, True, [4, 4, 4, 4, 4, 4, 4]),
        (5, False, True, [3, 3, 3, 3, 3, 3, 4]),
        (5, True, False, [3, 3, 3, 3, 3, 3, 4]),
        (5, False, False, [4, 4, 4, 4, 4, 4, 4]),
    ],
)
def test_blocks_without_a_level_read_the_one_hot_mask(
    num_levels: int, class_wise: bool, layer_wise: bool, layout_channels: list[int]
) -> None:
    generator = tiny(num_levels, class_wise=class_wise, layer_wise=layer_wise)
    seen: list[Tensor] = []
    for block in generator.decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    mask, z_global, z_local = codes(generator)
    assert generator(mask, z_global, z_local).shape == (2, 3, 64, 64)
    assert [layout.shape[1] for layout in seen] == layout_channels
    assert hasattr(generator, "embedding") == (3 in layout_channels)


def test_blocks_read_their_levels_from_coarse_to_fine() -> None:
    generator = tiny()
    sizes: list[int] = []
    for block in generator.decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[1].shape[-1]))
    generator(*codes(generator))
    assert sizes == [2, 4, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(("class_wise", "layer_wise"), [(True, False), (False, True)])
def test_generator_takes_the_codes_of_the_encoder(class_wise: bool, layer_wise: bool) -> None:
    generator = tiny(class_wise=class_wise, layer_wise=layer_wise)
    switches: dict[str, Any] = {"class_wise": class_wise, "layer_wise": layer_wise}
    encoder = CLVAEEncoder(4, 2, 6, code_dim=3, encoder_size=128, **switches)
    assert encoder.code_shape == generator.code_shape


def test_generator_refuses_codes_of_another_shape() -> None:
    generator = tiny()
    mask, z_global, z_local = codes(generator)
    with pytest.raises(ValueError, match=r"\(B, 5, 4, 3\), got \(2, 4, 4, 3\)"):
        generator(mask, z_global, z_local[:, :4])
