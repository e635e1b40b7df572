import torch

from semsynth.export.edits import MaskEdit, warp_masks
from semsynth.networks.noise import sample_seed


def masks() -> torch.Tensor:
    """A ground of class 0 with a thing of class 1 or 2 on its left."""
    result = torch.zeros(2, 32, 32, dtype=torch.uint8)
    result[0, 8:24, 4:12] = 1
    result[1, 8:24, 4:12] = 2
    return result


def seeds(count: int) -> torch.Tensor:
    return sample_seed(0, torch.arange(count))


def test_an_edit_depends_on_its_seed_alone() -> None:
    edit = MaskEdit(paste=[2])
    chosen = torch.zeros(6, dtype=torch.int64)
    together = edit(masks(), chosen, seeds(6))
    for i in range(6):
        assert torch.equal(edit(masks(), chosen[:1], seeds(6)[i : i + 1])[0], together[i])
    assert (together[0] != together[1]).any()


def test_masks_stay_as_they_are_without_an_edit() -> None:
    edited = MaskEdit(warp=False)(masks(), torch.tensor([1, 0]), seeds(2))
    assert torch.equal(edited, masks()[[1, 0]].long())


def test_a_warp_keeps_what_there_is_and_moves_it() -> None:
    warped = warp_masks(masks().long().repeat(8, 1, 1), seeds(16), torch.arange(256))
    assert set(warped.unique().tolist()) == {0, 1, 2}
    assert (warped != 0).flatten(1).any(1).all()
    centres = torch.stack([m.nonzero().float().mean(0) for m in warped])
    assert centres.std(0).min() > 1


def test_classes_of_left_and_right_change_in_the_mirror() -> None:
    flip = torch.arange(256)
    flip[[1, 2]] = torch.tensor([2, 1])
    mask = masks()[:1].long().repeat(32, 1, 1)
    warped = warp_masks(mask, seeds(32), flip)
    on_the_right = torch.stack([m.nonzero()[:, 1].float().mean() for m in warped]) > 15.5
    mirrored = torch.tensor([bool((m == 2).any()) for m in warped])
    assert 4 < mirrored.sum() < 28
    assert torch.equal(on_the_right, mirrored)


def test_things_of_other_masks_are_pasted() -> None:
    edit = MaskEdit(warp=False, paste=[2])
    edited = edit(masks(), torch.zeros(32, dtype=torch.int64), seeds(32))
    has_both = [(m == 2).any() and (m == 1).any() for m in edited]
    assert 2 < sum(map(bool, has_both)) < 28
    assert all((m == 1).any() for m in edited)


def test_masks_that_are_not_square_can_be_warped() -> None:
    assert warp_masks(torch.zeros(2, 8, 16).long(), seeds(2), torch.arange(256)).shape == (2, 8, 16)
