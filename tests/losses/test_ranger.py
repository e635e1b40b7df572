import math
from copy import deepcopy

import pytest
import torch

from semsynth.losses import ranger
from semsynth.losses.ranger import Ranger, rectified


def by_hand(weights: list[float], gradients: list[list[float]], lr: float) -> list[float]:
    """The formulas of Ranger for one row of weights, in plain Python."""
    w, slow = list(weights), list(weights)
    m, v = [0.0] * len(w), [0.0] * len(w)
    for t, row in enumerate(gradients, start=1):
        mean = sum(row) / len(row)
        g = [x - mean for x in row]
        v = [0.999 * b + 0.001 * x * x for b, x in zip(v, g, strict=True)]
        m = [0.95 * a + 0.05 * x for a, x in zip(m, g, strict=True)]
        rho = 1999 - 2 * t * 0.999**t / (1 - 0.999**t)
        if rho > 5:
            r = math.sqrt((1 - 0.999**t) * (rho - 4) / 1995 * (rho - 2) / rho * 1999 / 1997) / (
                1 - 0.95**t
            )
            w = [x - lr * r * a / (math.sqrt(b) + 1e-5) for x, a, b in zip(w, m, v, strict=True)]
        else:
            w = [x - lr * a / (1 - 0.95**t) for x, a in zip(w, m, strict=True)]
        if t % 6 == 0:
            slow = [s + 0.5 * (x - s) for s, x in zip(slow, w, strict=True)]
            w = list(slow)
    return w


def test_ranger_follows_its_formulas_through_twenty_steps() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4).double(), torch.randn(20, 3, 4).double()
    weights = torch.nn.Parameter(start.clone())
    optimizer = Ranger([weights], lr=0.1)
    for gradient in gradients:
        weights.grad = gradient.clone()
        optimizer.step()
    expected = [
        by_hand(start[i].tolist(), gradients[:, i].tolist(), 0.1) for i in range(len(start))
    ]
    torch.testing.assert_close(weights.detach(), torch.tensor(expected).double())


def test_pieces_give_the_same_weights_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    start = [torch.randn(shape) for shape in ((40, 6), (5,), (3, 2, 2), ())]
    gradients = [[torch.randn(x.shape) for x in start] for _ in range(7)]
    ends = []
    for size in (1 << 18, 30):
        monkeypatch.setattr(ranger, "PIECE", size)
        weights = [torch.nn.Parameter(x.clone()) for x in start]
        optimizer = Ranger(weights, lr=0.1)
        for step in gradients:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = gradient.clone()
            optimizer.step()
        ends.append(weights)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_rectification_starts_at_the_sixth_step() -> None:
    assert [rectified(t, 0.999) is None for t in range(1, 8)] == [True] * 5 + [False] * 2


def test_rows_of_a_batch_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(2, 3, 4), torch.randn(8, 2, 3, 4)
    together = torch.nn.Parameter(start.clone())
    alone = torch.nn.Parameter(start[:1].clone())
    optimizers = Ranger([together], lr=1.0), Ranger([alone], lr=1.0)
    for gradient in gradients:
        together.grad, alone.grad = gradient.clone(), gradient[:1].clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(together[:1], alone)


def test_a_training_that_is_taken_up_goes_on_as_if_never_stopped() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4), torch.randn(14, 3, 4)
    straight = torch.nn.Parameter(start.clone())
    optimizer = Ranger([straight], lr=0.1)
    for i, gradient in enumerate(gradients):
        if i == 7:
            saved = deepcopy(optimizer.state_dict())  # else both share their tensors
            resumed = torch.nn.Parameter(straight.detach().clone())
            second = Ranger([resumed], lr=0.1)
            second.load_state_dict(saved)
        straight.grad = gradient.clone()
        optimizer.step()
        if i >= 7:
            resumed.grad = gradient.clone()
            second.step()
    assert torch.equal(straight, resumed)


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"eps": 0.0}])
def test_values_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs"):
        Ranger([torch.nn.Parameter(torch.zeros(1))], **bad)  # type: ignore[arg-type]
