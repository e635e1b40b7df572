"""Protocol cards: what a score depends on, and whether two scores are comparable.

A card is a JSON object, written beside the scores under the key ``protocol``:

- ``split``, ``data``, ``image_size``, ``num_images``: the real set,
- ``real_images``, ``masks``: fingerprints of its pixels and labels,
- ``seed``: seed of the noise,
- ``metrics``: for each score its metric, extractor, kernel, samples per mask, and so on,
- ``caveats``: one line for each reason why scores mean little, such as too few images,
- ``versions``: of the libraries that computed it; they may differ.
"""

from collections.abc import Iterable, Iterator, Mapping, Sized
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from semsynth.errors import UserError

Card = dict[str, Any]
BESIDE = ("metrics", "versions", "caveats")  # not compared as they are
PACKAGES = ("semsynth", "torch", "torchvision", "torchmetrics", "numpy", "pillow", "lpips", "timm")


class ProtocolError(UserError):
    """Scores of different protocols cannot be compared; the message says what differs."""


def installed_versions() -> dict[str, str]:
    """Versions of the libraries that affect scores."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def unused(of: Sized, used: int, what: str = "images") -> list[str]:
    """The caveat that only a part was used, if so."""
    return [f"Used {used} of {len(of)} {what}."] if used < len(of) else []


def differences(a: Card | None, b: Card | None) -> dict[str, tuple[Any, Any]]:
    """Keys in which two cards differ, with both values; empty if their scores are comparable.

    Scores that only one of them has, versions and caveats are ignored.
    """
    if a is None or b is None:
        known = ["known" if card else None for card in (a, b)]
        return {} if known[0] == known[1] else {"protocol": (known[0], known[1])}
    shared = a.get("metrics", {}).keys() & b.get("metrics", {}).keys()
    flat_a, flat_b = (dict(_flatten(_comparable(card, shared))) for card in (a, b))
    keys = [*flat_a, *(key for key in flat_b if key not in flat_a)]
    values = {key: (flat_a.get(key), flat_b.get(key)) for key in keys}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def version_differences(a: Card | None, b: Card | None) -> dict[str, tuple[Any, Any]]:
    """Libraries whose versions differ, with both versions."""
    versions = [(card or {}).get("versions", {}) for card in (a, b)]
    names = sorted(versions[0].keys() & versions[1].keys())
    return {n: (versions[0][n], versions[1][n]) for n in names if versions[0][n] != versions[1][n]}


def require_same(a: Card | None, b: Card | None, names: tuple[str, str]) -> None:
    """Refuse to compare scores of ``names`` whose cards differ in more than versions."""
    if differing := differences(a, b):
        raise ProtocolError(
            f"The scores of {names[0]} and {names[1]} cannot be compared: {describe(differing)}. "
            "Measure both with the same protocol."
        )


def describe(differing: Mapping[str, tuple[Any, Any]]) -> str:
    """``split is val and test; seed is 0 and 1``."""
    return "; ".join(f"{key} is {_word(a)} and {_word(b)}" for key, (a, b) in differing.items())


def _comparable(card: Card, shared: Iterable[str]) -> Card:
    kept = {key: value for key, value in card.items() if key not in BESIDE}
    return kept | {"metrics": {name: card["metrics"][name] for name in sorted(shared)}}


def _flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested card by dotted key."""
    if not isinstance(value, dict):
        yield key, value
        return
    for name, inner in value.items():
        yield from _flatten(inner, f"{key}.{name}" if key else name)


def _word(value: Any) -> str:
    return "absent" if value is None else str(value)
