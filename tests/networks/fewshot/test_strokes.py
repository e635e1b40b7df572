import torch
from torch import Tensor

from semsynth.data.toy import PortraitWorld
from semsynth.networks.fewshot.strokes import draw_strokes, pixels_of_classes

WORLD = PortraitWorld()
CLASSES = 10


def portraits(count: int = 8) -> Tensor:
    index = torch.arange(count)
    layout, appearance = WORLD.sample_layout(0, index), WORLD.sample_appearance(0, index)
    return WORLD.render(layout, appearance, 64).mask + 1


def test_strokes_keep_the_labels_and_mark_every_class_that_is_there() -> None:
    labels = portraits()
    labels[0, :20] = 0
    drawn = draw_strokes(labels, torch.arange(8), CLASSES)
    marked = drawn != 0
    assert torch.equal(drawn[marked], labels[marked])
    for strokes, whole in zip(drawn, labels, strict=True):
        assert set(strokes.unique().tolist()) == set(whole.unique().tolist()) | {0}
    assert 0.02 < marked.float().mean() < 0.3


def test_strokes_are_those_of_the_seed_whatever_else_is_in_the_batch() -> None:
    labels, seed = portraits(), torch.arange(8)
    drawn = draw_strokes(labels, seed, CLASSES)
    assert torch.equal(draw_strokes(labels[3:5], seed[3:5], CLASSES), drawn[3:5])
    assert not torch.equal(draw_strokes(labels, seed + 8, CLASSES), drawn)


def test_a_class_of_one_pixel_is_marked() -> None:
    labels = torch.ones(1, 16, 16, dtype=torch.long)
    labels[0, 5, 9] = 2
    assert draw_strokes(labels, torch.zeros(1, dtype=torch.long), 3)[0, 5, 9] == 2


def test_pixels_are_of_their_class_and_all_alike_likely() -> None:
    labels = torch.tensor([[1, 0, 2, 1, 1, 0, 2, 2]])
    found = pixels_of_classes(labels, torch.tensor([4]), 3, 6000)[0]
    for k, pixels in enumerate(found):
        assert (labels[0, pixels] == k).all()
        share = torch.bincount(pixels, minlength=8)[labels[0] == k] / 6000
        torch.testing.assert_close(share, torch.full_like(share, 1 / len(share)), atol=0.03, rtol=0)
