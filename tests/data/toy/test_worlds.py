import math
from dataclasses import replace

import pytest
import torch

from semsynth.data.toy import PortraitWorld, StreetWorld, World
from semsynth.data.toy.drawing import pixel_centres, topmost
from semsynth.data.toy.world import Rendering

WORLDS = [PortraitWorld(), StreetWorld()]
both_worlds = pytest.mark.parametrize("world", WORLDS, ids=["portrait", "street"])


def draw(world: World, indices: list[int], image_size: int = 32, style_seed: int = 0) -> Rendering:
    index = torch.tensor(indices)
    appearance = world.sample_appearance(style_seed, index)
    return world.render(world.sample_layout(0, index), appearance, image_size)


@both_worlds
def test_a_sample_depends_on_its_index_and_not_on_the_batch_around_it(world: World) -> None:
    batch, again, alone = draw(world, [7, 0, 5, 2]), draw(world, [7, 0, 5, 2]), draw(world, [5])
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    torch.testing.assert_close(batch.image[2:3], alone.image, rtol=0, atol=1e-4)
    assert torch.equal(batch.mask[2:3], alone.mask)
    assert torch.equal(batch.instance[2:3], alone.instance)
    for rendered in (batch.image, batch.mask):
        assert len({sample.numpy().tobytes() for sample in rendered}) == 4


@both_worlds
def test_appearance_changes_the_image_and_neither_mask_nor_instances(world: World) -> None:
    one, two = draw(world, [0, 1]), draw(world, [0, 1], style_seed=1)
    assert torch.equal(one.mask, two.mask)
    assert torch.equal(one.instance, two.instance)
    assert (one.image - two.image).abs().mean() > 0.1


@both_worlds
@pytest.mark.parametrize("image_size", [32, 64])
def test_every_class_appears_in_most_samples(world: World, image_size: int) -> None:
    mask = draw(world, list(range(24)), image_size).mask.flatten(1)
    for label in range(world.label_space.num_classes):
        assert (mask == label).any(1).float().mean() > 0.9, world.label_space.names[label]


@both_worlds
def test_image_is_finite_in_minus_one_to_one_and_of_the_size_asked_for(world: World) -> None:
    image, mask, instance = draw(world, [0, 1, 2], 48)
    assert image.shape == (3, 3, 48, 48)
    assert mask.shape == instance.shape == (3, 48, 48)
    assert image.isfinite().all()
    assert image.min() >= -1
    assert image.max() <= 1
    assert mask.min() >= 0
    assert mask.max() < world.label_space.num_classes


@both_worlds
def test_the_styles_of_two_classes_are_uncorrelated(world: World) -> None:
    base = world.sample_appearance(0, torch.arange(2000))["base"].flatten(1)  # (B, classes * 3)
    correlation = torch.corrcoef(base.T)
    num_classes = world.label_space.num_classes
    other_class = ~torch.block_diag(*[torch.ones(3, 3)] * num_classes).bool()
    assert correlation[other_class].abs().max() < 0.1


def test_instances_are_cars_and_persons_of_the_street_and_nothing_else() -> None:
    _, mask, instance = draw(WORLDS[1], list(range(8)), 64)
    names = WORLDS[1].label_space.names
    is_car, is_person = mask == names.index("car"), mask == names.index("person")
    assert torch.equal(is_car, (instance >= 1) & (instance <= 4))
    assert torch.equal(is_person, (instance >= 5) & (instance <= 8))
    assert len(instance.unique()) == 9
    assert not draw(WORLDS[0], [0, 1]).instance.any()


@both_worlds
def test_no_part_extends_beyond_its_reach(world: World) -> None:
    parts = world.parts(world.sample_layout(0, torch.arange(8)))
    reach = (math.inf, math.inf)
    endless = [replace(part, shape=replace(part.shape, reach=reach)) for part in parts]
    grid = pixel_centres(64)
    assert torch.equal(topmost(parts, *grid), topmost(endless, *grid))
