"""What the page tells of a model: a title, and facts of its card. Nothing names a path."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from semsynth.callbacks import run_directory
from semsynth.weights.priors import fingerprint

COUNTS = {"samples_seen": "samples", "images_seen": "images", "pairs_seen": "pairs"}
SCORE = "test_"


@dataclass(frozen=True)
class About:
    """A model in words.

    Attributes:
        identity: Tells it from others, whose label maps and images a page keeps apart.
        title: Its name.
        facts: Names and values of what is known of it.
        shipped: Whether it is the toy model that ships.
    """

    identity: str
    title: str
    facts: tuple[tuple[str, str], ...]
    shipped: bool


def about(
    network: nn.Module, file: str, card: dict[str, Any], facts: dict[str, Any], shipped: bool
) -> About:
    """What is told of a network from a file with a card.

    Args:
        network: The network.
        file: Its name or path.
        card: Its card; may be empty.
        facts: What is known without a card.
        shipped: Whether it ships.
    """
    told = {name: str(value) for name, value in facts.items()}
    for key, value in card.items():
        if key.startswith(SCORE) and isinstance(value, int | float):
            told[key.removeprefix(SCORE).replace("_", " ")] = f"{value:.4g}"
    for key, unit in COUNTS.items():
        if isinstance(card.get(key), int):
            told["trained on"] = f"{card[key]:,} {unit}"
    title = str(card["what"]) if "what" in card else name_of(file)
    return About(fingerprint(network)[:16], title, tuple(told.items()), shipped)


def name_of(file: str) -> str:
    """The name of a file; of its run if it is a checkpoint of one."""
    path = Path(file)
    run = run_directory.of_checkpoint(file)
    return run.name if (run / "config.yaml").is_file() else path.stem
