import pickle
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, TensorDataset

from semsynth.data.sampling import SeededIndex, ShardSampler, TrainSampler, occurrence


def shuffled(size: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(size, generator=generator)


def samplers(size: int, batch_size: int, world_size: int, seed: int = 0) -> list[TrainSampler]:
    return [
        TrainSampler(lambda g: shuffled(size, g), batch_size, seed, rank, world_size)
        for rank in range(world_size)
    ]


def drawn(sampler: TrainSampler) -> list[tuple[int, int]]:
    """Positions and seeds of an epoch."""
    return [(int(index), index.seed) for index in sampler]


def steps(
    size: int, batch_size: int, world_size: int, epoch: int = 0
) -> list[set[tuple[int, int]]]:
    """The draws of each step over all processes, as a loader makes batches of them."""
    batches = []
    for sampler in samplers(size, batch_size, world_size):
        sampler.set_epoch(epoch)
        draws = drawn(sampler)
        assert len(draws) == len(sampler)
        parts = [draws[i : i + batch_size] for i in range(0, len(draws), batch_size)]
        batches.append([p for p in parts if len(p) == batch_size or not sampler.drop_last])
    assert len({len(b) for b in batches}) == 1  # else processes would wait for each other
    return [{d for part in parts for d in part} for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("size", [8, 11, 16, 23])
@pytest.mark.parametrize("epoch", [0, 5])
def test_two_processes_draw_what_one_draws(size: int, epoch: int) -> None:
    assert steps(size, 4, 1, epoch) == steps(size, 2, 2, epoch)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_an_epoch_draws_each_sample_exactly_once(world_size: int) -> None:
    batches = steps(24, 6 // min(world_size, 2), world_size)
    assert sorted(position for batch in batches for position, _ in batch) == list(range(24))


@pytest.mark.parametrize(("size", "batch_size"), [(1, 4), (3, 2), (3, 4), (5, 2), (7, 4)])
def test_every_process_has_as_many_batches_when_there_are_few_samples(
    size: int, batch_size: int
) -> None:
    assert len(steps(size, batch_size, 2)) >= 1


def test_order_is_that_of_torchs_distributed_sampler() -> None:
    expected: DistributedSampler[tuple[Tensor, ...]] = DistributedSampler(
        TensorDataset(torch.zeros(10)), 2, 1, seed=3
    )
    expected.set_epoch(4)
    sampler = samplers(10, 2, 2, seed=3)[1]
    sampler.set_epoch(4)
    assert [str(index) for index in sampler] == [str(i) for i in expected]


def test_seeds_differ_between_epochs_samples_and_runs() -> None:
    draws = []
    for seed in range(3):
        (sampler,) = samplers(5, 1, 1, seed)
        for epoch in range(4):
            sampler.set_epoch(epoch)
            draws += drawn(sampler)
    assert len({seed for _, seed in draws}) == 60


def test_sample_that_an_epoch_draws_often_gets_other_seeds() -> None:
    draws = drawn(TrainSampler(lambda _: torch.tensor([2, 2, 0, 2]), 1, 0, 0, 1))
    assert Counter(position for position, _ in draws) == {2: 3, 0: 1}
    assert len(set(draws)) == 4


def test_occurrence_equals_counting_one_by_one() -> None:
    order = torch.randint(0, 5, (40,), generator=torch.Generator().manual_seed(0))
    counts: Counter[int] = Counter()
    for entry, nth in zip(order.tolist(), occurrence(order).tolist(), strict=True):
        assert nth == counts[entry]
        counts[entry] += 1


def test_seeded_index_is_a_number_that_travels_with_its_seed() -> None:
    index = pickle.loads(pickle.dumps(SeededIndex(7, 12)))
    assert (index, index.seed) == (7, 12)
    assert "abcdefgh"[index] == "h"
    assert torch.as_tensor([index]).tolist() == [7]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shards_hold_each_sample_exactly_once(world_size: int) -> None:
    shards = [ShardSampler(7, rank, world_size) for rank in range(world_size)]
    assert sorted(i for shard in shards for i in shard) == list(range(7))
    assert [len(shard) for shard in shards] == [len(list(shard)) for shard in shards]
