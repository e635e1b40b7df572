"""Distribution of samples and seeds over processes."""

from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler


class SeededIndex(int):
    """The position of a sample in its split, with the seed of its crop and mirror.

    It is a plain integer to deterministic data sets.
    """

    seed: int

    def __new__(cls, position: int, seed: int) -> Self:
        """A position and its seed."""
        index = super().__new__(cls, position)
        index.seed = seed
        return index

    def __reduce__(self) -> tuple[type[Self], tuple[int, int]]:  # for sending to workers
        return type(self), (int(self), self.seed)


class TrainSampler(Sampler[SeededIndex]):
    """The training samples of one process, in an order that all processes agree on.

    The seed of a sample depends on the run's seed, the epoch, the sample and how often the epoch
    drew it before. It is sent to the loader's workers with the position, so that neither their
    number nor that of the processes affects a sample.

    Args:
        order: Positions (N,), int64, of an epoch's samples from a generator; N never changes.
        batch_size: Samples of this process in a step.
        seed: Seed of the run.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        order: Callable[[torch.Generator], Tensor],
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
    ) -> None:
        self.order = order
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.done = (-1, 0)
        """An interrupted epoch, and how many of its samples this process has read."""
        self._num_samples = len(order(torch.Generator().manual_seed(seed)))
        even = self._num_samples // world_size
        self.drop_last = even >= batch_size
        """Whether to drop a last, short batch; it is kept if it is the only one."""
        shares = [len(range(r, self._num_samples, world_size)) for r in range(world_size)]
        self._length = even if self.drop_last else max(1, shares[rank])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the trainer calls this."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[SeededIndex]:
        # The same order as that of torch's DistributedSampler.
        order = self.order(torch.Generator().manual_seed((self.seed + self.epoch) % (1 << 63)))
        nth = occurrence(order)
        # With fewer samples than processes some are repeated: every process needs a batch.
        start = self.done[1] if self.epoch == self.done[0] else 0
        for number in range(start, self._length):
            i = self.rank + number * self.world_size
            position, times = int(order[i % len(order)]), int(nth[i % len(order)])
            entropy = (self.seed, self.epoch, position, times)
            state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
            yield SeededIndex(position, int(state[0]))

    def __len__(self) -> int:
        return self._length


def occurrence(order: Tensor) -> Tensor:
    """How often each entry occurred before in a sequence (N,), int64."""
    values, positions = order.sort(stable=True)
    starts = torch.searchsorted(values, values)  # start of each run of equal entries
    nth = torch.empty_like(order)
    nth[positions] = torch.arange(len(order)) - starts
    return nth


class ShardSampler(Sampler[int]):
    """Every ``world_size``-th sample, without padding.

    Lightning's sampler pads shards with repeated samples, which changes every metric. Evaluation
    here has no collective inside a step, so shards may differ in length.
    """

    def __init__(self, num_samples: int, rank: int, world_size: int) -> None:
        self.indices = range(rank, num_samples, world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
