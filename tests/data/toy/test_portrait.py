import math

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.data.toy import Factors, PortraitWorld

WORLD = PortraitWorld()
INDEX = torch.arange(8)
SIZE = 64


def layout_without(*names: str) -> Factors:
    """Layouts with some factors at zero, so that adding to them stays within the image."""
    layout = WORLD.sample_layout(0, INDEX)
    return {name: value * (name not in names) for name, value in layout.items()}


def person(layout: Factors) -> Tensor:
    mask = WORLD.render(layout, WORLD.sample_appearance(0, INDEX), SIZE).mask
    return mask != WORLD.label_space.names.index("background")


def fetch(image: Tensor, flow: Tensor) -> Tensor:
    """Bilinear value of an image (B, 3, H, W) where the flow of each pixel points."""
    pixels = torch.arange(SIZE, dtype=torch.float32)
    x, y = pixels + flow[:, 0], pixels[:, None] + flow[:, 1]
    points = (2 * torch.stack([x, y], -1) + 1) / SIZE - 1
    return F.grid_sample(image, points, padding_mode="border", align_corners=False)


def test_no_motion_between_equal_layouts() -> None:
    layout = WORLD.sample_layout(0, INDEX)
    flow, log_expansion, valid = WORLD.flow(layout, layout, SIZE)
    torch.testing.assert_close(flow, torch.zeros(8, 2, SIZE, SIZE), rtol=0, atol=1e-4)
    assert not log_expansion.any()
    assert valid.float().mean() > 0.999


def test_a_shift_moves_the_person_by_so_many_pixels_and_leaves_the_background() -> None:
    source = layout_without("shift_x", "shift_y")
    target = source | {"shift_x": torch.full((8,), 0.125), "shift_y": torch.full((8,), -0.0625)}
    flow, log_expansion, valid = WORLD.flow(source, target, SIZE)
    moving = person(source)
    expected = torch.tensor([4.0, -2.0]).view(1, 2, 1, 1) * moving[:, None]  # 32 pixels a unit
    torch.testing.assert_close(flow, expected, rtol=0, atol=1e-3)
    assert not log_expansion.any()
    assert valid[moving].float().mean() > 0.9


def test_log_expansion_of_a_zoom_is_minus_its_log_and_equals_differences_of_the_flow() -> None:
    source = layout_without("shift_x", "shift_y") | {"zoom": torch.full((8,), 1.0)}
    flow, log_expansion, _ = WORLD.flow(source, source | {"zoom": torch.full((8,), 1.05)}, SIZE)
    moving = person(source)
    expected = torch.full_like(log_expansion[:, 0][moving], -math.log(1.05))
    torch.testing.assert_close(log_expansion[:, 0][moving], expected)
    slope = (flow[:, 0, :, 2:] - flow[:, 0, :, :-2]) / 2  # along x, between neighbours
    inner = (moving[:, :, 2:] & moving[:, :, :-2]) & moving[:, :, 1:-1]
    torch.testing.assert_close(
        -slope[inner].log1p(), log_expansion[:, 0, :, 1:-1][inner], rtol=0, atol=1e-4
    )


def test_the_flow_fetches_the_target_back_onto_the_source_where_it_is_valid() -> None:
    source, other = WORLD.sample_layout(0, INDEX), WORLD.sample_layout(0, INDEX + 100)
    target = source | {name: other[name] for name in WORLD.pose_factors}
    appearance = WORLD.sample_appearance(0, INDEX)
    flow, _, valid = WORLD.flow(source, target, SIZE)
    before, after = (WORLD.render(pose, appearance, SIZE) for pose in (source, target))
    error = (fetch(after.image, flow) - before.image).abs().mean(1)[valid]
    unmoved = (after.image - before.image).abs().mean(1)[valid]
    assert valid.float().mean() > 0.6
    assert error.mean() < 0.06  # of a range of 2; what is left are the anti-aliased edges
    assert error.mean() < unmoved.mean() / 3


def test_valid_pixels_keep_their_class_and_hidden_ones_are_found() -> None:
    source = layout_without("shift_x", "yaw")
    target = source | {"shift_x": torch.full((8,), 0.25)}  # eight pixels to the right
    flow, _, valid = WORLD.flow(source, target, SIZE)
    appearance = WORLD.sample_appearance(0, INDEX)
    before, after = (WORLD.render(pose, appearance, SIZE).mask for pose in (source, target))
    pixels = torch.arange(SIZE)
    x, y = pixels + flow[:, 0].round().long(), (pixels[:, None] + flow[:, 1].round().long())
    reached = after[torch.arange(8).view(-1, 1, 1), y.clamp(0, 63), x.clamp(0, 63)]
    assert torch.equal(reached[valid], before[valid])
    covered = ~person(source) & person(target)  # background that the person moves in front of
    assert not valid[covered].any()
    assert covered.any()


def test_what_leaves_the_image_is_invalid() -> None:
    source = layout_without("shift_x")
    target = source | {"shift_x": torch.full((8,), 2.5)}
    _, _, valid = WORLD.flow(source, target, SIZE)
    assert not valid[person(source)].any()
