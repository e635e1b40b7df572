"""Optimizers that PyTorch does not have."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Ranger(Optimizer):
    """RAdam with Lookahead and gradient centralisation, as the released code of FewShotSMIS has it.

    Rectified Adam (Liu et al., ICLR 2020), Lookahead (Zhang et al., NeurIPS 2019) and gradient
    centralisation (Yong et al., ECCV 2020). Unlike in the papers, epsilon is added to the square
    root of the second moment before its bias is corrected.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: Decay rates of the first and second moment.
        eps: Added to the square root of the second moment.
        weight_decay: Decoupled weight decay, times the learning rate.
        lookahead_steps: Steps between two moves of the slow weights.
        lookahead_rate: How far the slow weights move.
        rectify_above: Length of the averaged past above which the second moment is used.

    Raises:
        ValueError: A value is out of its range.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        weight_decay: float = 0.0,
        lookahead_steps: int = 6,
        lookahead_rate: float = 0.5,
        rectify_above: float = 5.0,
    ) -> None:
        if lr < 0 or eps <= 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(
                f"Ranger needs lr >= 0, eps > 0 and betas in [0, 1), got lr {lr}, eps {eps}, "
                f"betas {betas}."
            )
        if lookahead_steps < 1 or not 0 <= lookahead_rate <= 1:
            raise ValueError(
                "Lookahead needs at least one step and a rate in [0, 1], got "
                f"{lookahead_steps} and {lookahead_rate}."
            )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "lookahead_steps": lookahead_steps,
            "lookahead_rate": lookahead_rate,
            "rectify_above": rectify_above,
            "step": 0,
        }
        super().__init__(params, defaults)

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
        """One step of all parameters of a group, by operations on lists of tensors."""
        beta1, beta2 = group["betas"]
        t, lr = group["step"], group["lr"]
        first, second, slow = self._moments(parameters)
        gradients = [centralise(p.grad) for p in parameters if p.grad is not None]
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])
        rectification = rectified(t, beta2, group["rectify_above"])
        step_size = -lr / (1 - beta1**t)
        if rectification is None:
            torch._foreach_add_(parameters, first, alpha=step_size)
        else:
            root = torch._foreach_sqrt(second)
            torch._foreach_add_(root, group["eps"])
            torch._foreach_addcdiv_(parameters, first, root, step_size * rectification)
        if t % group["lookahead_steps"] == 0:
            torch._foreach_lerp_(slow, parameters, group["lookahead_rate"])
            torch._foreach_copy_(parameters, slow)

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


def centralise(gradient: Tensor) -> Tensor:
    """Subtract the mean over all axes but the first; vectors are left alone."""
    if gradient.ndim < 2:
        return gradient
    return gradient - gradient.mean(tuple(range(1, gradient.ndim)), keepdim=True)


def rectified(step: int, beta2: float, above: float) -> float | None:
    """RAdam's factor with the correction of the second moment, or None where it says nothing yet.

    Args:
        step: Number of the step, from 1.
        beta2: Decay rate of the second moment.
        above: Length of the averaged past above which the second moment is used.
    """
    longest = 2 / (1 - beta2) - 1
    decayed = beta2**step
    length = longest - 2 * step * decayed / (1 - decayed)
    if length <= above:
        return None
    variance = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return float(((1 - decayed) * variance) ** 0.5)
