import pytest

from semsynth.data.base import LabelSpace, ShardSampler, distinct_palette


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shards_hold_each_sample_exactly_once(world_size: int) -> None:
    shards = [list(ShardSampler(7, rank, world_size)) for rank in range(world_size)]
    assert sorted(i for shard in shards for i in shard) == list(range(7))
    assert [len(ShardSampler(7, r, world_size)) for r in range(world_size)] == list(
        map(len, shards)
    )


def test_palette_colours_are_distinct() -> None:
    assert len(set(distinct_palette(151))) == 151


def test_lookup_keeps_classes_and_unlabelled_pixels_and_refuses_the_rest() -> None:
    lookup = LabelSpace(("a", "b"), ((0, 0, 0), (1, 1, 1))).lookup()
    assert lookup[[0, 1, 2, 254, 255]].tolist() == [0, 1, -1, -1, 255]


def test_label_space_needs_a_colour_for_each_class() -> None:
    with pytest.raises(ValueError, match="2 names and 1 colours"):
        LabelSpace(("a", "b"), ((0, 0, 0),))
