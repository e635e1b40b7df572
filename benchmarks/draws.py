"""Random points of a sweep, from W&B's distributions and a seed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Drawn = str | bool | int | float
Spec = dict[str, Any]


def draw_point(parameters: dict[str, Spec], seed: tuple[int, ...]) -> dict[str, Drawn]:
    """Draw a value for each parameter.

    A parameter's value depends on the seed and its own name, not on the others.

    Args:
        parameters: Specification of each parameter, as W&B has it.
        seed: Numbers that name the point.

    Raises:
        ValueError: A specification is incomplete or has an unknown distribution.
    """
    return {key: draw_value(key, spec, (*seed, *key.encode())) for key, spec in parameters.items()}


def draw_value(key: str, spec: Spec, seed: tuple[int, ...]) -> Drawn:
    """Draw the value of one parameter."""
    if not isinstance(spec, dict):
        raise ValueError(f"parameter {key} must be a mapping, got {spec!r}.")
    name = spec.get("distribution") or implied(spec)
    if name not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"parameter {key} has the distribution {name!r}; known are {known}.")
    try:
        return DISTRIBUTIONS[name](spec, np.random.default_rng(seed))
    except KeyError as missing:
        raise ValueError(f"parameter {key} of distribution {name} lacks {missing}.") from missing


def implied(spec: Spec) -> str:
    """The distribution that W&B takes where none is named."""
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical"
    whole = all(isinstance(spec.get(end), int) for end in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def categorical(spec: Spec, rng: np.random.Generator) -> Drawn:
    """One of ``values``, with ``probabilities`` if they are given."""
    return spec["values"][int(rng.choice(len(spec["values"]), p=spec.get("probabilities")))]


def log_uniform_values(spec: Spec, rng: np.random.Generator) -> float:
    """Between ``min`` and ``max``, with a uniform logarithm."""
    return math.exp(rng.uniform(math.log(spec["min"]), math.log(spec["max"])))


def quantised(draw: Callable[[Spec, np.random.Generator], float]) -> Any:
    """Round what another distribution draws to multiples of ``q``."""

    def quantise(spec: Spec, rng: np.random.Generator) -> Drawn:
        step = spec.get("q", 1)
        value = round(draw(spec, rng) / step) * step
        return value if isinstance(step, int) else float(f"{value:.12g}")

    return quantise


def uniform(spec: Spec, rng: np.random.Generator) -> float:
    """Between ``min`` and ``max``."""
    return float(rng.uniform(spec["min"], spec["max"]))


def normal(spec: Spec, rng: np.random.Generator) -> float:
    """Around ``mu`` with deviation ``sigma``."""
    return float(rng.normal(spec.get("mu", 0), spec.get("sigma", 1)))


DISTRIBUTIONS: dict[str, Callable[[Spec, np.random.Generator], Drawn]] = {
    "constant": lambda spec, _: spec["value"],
    "categorical": categorical,
    "int_uniform": lambda spec, rng: int(rng.integers(spec["min"], spec["max"], endpoint=True)),
    "uniform": uniform,
    "q_uniform": quantised(uniform),
    "log_uniform": lambda spec, rng: math.exp(uniform(spec, rng)),
    "log_uniform_values": log_uniform_values,
    "q_log_uniform_values": quantised(log_uniform_values),
    "normal": normal,
    "q_normal": quantised(normal),
    "log_normal": lambda spec, rng: math.exp(normal(spec, rng)),
}
