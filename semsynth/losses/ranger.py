"""Optimizers that PyTorch does not have."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

LOOKAHEAD_STEPS, LOOKAHEAD_RATE = 6, 0.5  # between two moves of the slow weights, and how far
PIECE = 1 << 18  # elements of a tensor that are updated at a time, on a CPU
RECTIFY_ABOVE = 5.0  # length of the averaged past from which on the second moment is used


class Ranger(Optimizer):
    """RAdam with Lookahead and gradient centralisation, as in the released code of FewShotSMIS.

    Rectified Adam (Liu et al., ICLR 2020), Lookahead (Zhang et al., NeurIPS 2019) and gradient
    centralisation (Yong et al., ECCV 2020). Unlike in the papers, ``eps`` is added to the square
    root of the second moment before its bias is corrected.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
    ) -> None:
        if not (lr >= 0 and eps > 0) or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                f"Ranger needs lr >= 0, eps > 0 and betas in [0, 1), got lr {lr}, eps {eps}, "
                f"betas {betas}."
            )
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "step": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; return what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                group["step"] += 1
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        """One step of all parameters of a group, piece by piece."""
        beta1, beta2 = group["betas"]
        t, lr = group["step"], group["lr"]
        rectification = rectified(t, beta2)
        step_size = -lr / (1 - beta1**t)
        gradients = [p.grad for p in parameters if p.grad is not None]
        for piece in pieces(parameters, gradients, *self._moments(parameters)):
            weights, first, second, slow = piece[0], *piece[2:]
            centred = [centralise(gradient) for gradient in piece[1]]
            torch._foreach_mul_(second, beta2)
            torch._foreach_addcmul_(second, centred, centred, 1 - beta2)
            torch._foreach_lerp_(first, centred, 1 - beta1)
            if rectification is None:
                torch._foreach_add_(weights, first, alpha=step_size)
            else:
                root = torch._foreach_sqrt(second)
                torch._foreach_add_(root, group["eps"])
                torch._foreach_addcdiv_(weights, first, root, step_size * rectification)
            if t % LOOKAHEAD_STEPS == 0:
                torch._foreach_lerp_(slow, weights, LOOKAHEAD_RATE)
                torch._foreach_copy_(weights, slow)

    def _moments(self, parameters: list[Tensor]) -> tuple[list[Tensor], ...]:
        """First moments, second moments and slow weights, which start at the parameters."""
        for p in parameters:
            if not self.state[p]:
                self.state[p] = {
                    "first": torch.zeros_like(p),
                    "second": torch.zeros_like(p),
                    "slow": p.clone(),
                }
        states = [self.state[p] for p in parameters]
        return tuple([s[name] for s in states] for name in ("first", "second", "slow"))


def pieces(*lists: list[Tensor]) -> Iterator[tuple[list[Tensor], ...]]:
    """Views of tensors of equal shapes, for each list, that fit a CPU's cache together.

    A step that passes over all parameters once an operation reads them from memory each time. On
    a GPU all of them are one piece, because each piece costs kernels.
    """
    if lists[0][0].is_cuda:
        yield lists
        return
    piece: list[tuple[Tensor, ...]] = []
    size = 0
    for row in split_rows(zip(*lists, strict=True)):
        if piece and size + row[0].numel() > PIECE:
            yield tuple(map(list, zip(*piece, strict=True)))
            piece, size = [], 0
        piece.append(row)
        size += row[0].numel()
    yield tuple(map(list, zip(*piece, strict=True)))


def split_rows(tensors: Iterable[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """Tensors of equal shapes, cut between rows where they are large; rows are never cut."""
    for same in tensors:
        numel = same[0].numel()
        if numel <= PIECE:
            yield same
        else:
            rows = max(1, PIECE * len(same[0]) // numel)
            yield from zip(*(x.split(rows) for x in same), strict=True)


def centralise(gradient: Tensor) -> Tensor:
    """Subtract the mean over all axes but the first; vectors are unchanged."""
    if gradient.ndim < 2:
        return gradient
    return gradient - gradient.mean(tuple(range(1, gradient.ndim)), keepdim=True)


def rectified(step: int, beta2: float) -> float | None:
    """RAdam's bias-corrected factor of a step, counted from 1; None while it is undefined."""
    longest = 2 / (1 - beta2) - 1
    decayed = beta2**step
    length = longest - 2 * step * decayed / (1 - decayed)
    if length <= RECTIFY_ABOVE:
        return None
    variance = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return float(((1 - decayed) * variance) ** 0.5)
