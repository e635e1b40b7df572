"""Whatever a configuration says, it makes a run or is refused in one message.

Runs are built and not trained. ``HYPOTHESIS_EXAMPLES=1000`` searches further.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from semsynth.cli.train import prepare_weights
from semsynth.errors import UserError

ROOT = Path(__file__).parents[2]
bounded = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "15")),
    derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
)
SMALL = {"channels": 2, "spade_channels": 4, "discriminator_channels": 4, "perceptual_weight": 0}
SIGNS = "ab:{}[]-#&*!|>'\"%@\n "
WORDS = st.text("abz_.:-${}[] ", max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats(-2, 2)
    | WORDS
    | st.sampled_from([float("nan"), float("inf"), "CLVAE", "ToyStreet", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


def experiment() -> dict[str, Any]:
    """A configuration that is good, and small."""
    config = yaml.safe_load((ROOT / "experiments/clvae/toy_street.yaml").read_text())
    config["model"]["init_args"] |= SMALL
    config["evaluation"] = {"metrics": []}
    config["trainer"] |= {"max_steps": 1}
    return dict(config)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[dict[str, Any]], None]:
    """Ways to change a configuration: a value replaced, removed or added, somewhere in the tree."""
    path = draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))
    how, value = draw(st.sampled_from(["replace", "remove", "add"])), draw(VALUES)

    def change(config: dict[str, Any]) -> None:
        node = config
        for step in path:
            keys = sorted(node)
            key = keys[int(step * (len(keys) - 1))]
            if not isinstance(node[key], dict) or not node[key] or step == path[-1]:
                break
            node = node[key]
        if how == "remove":
            del node[key]
        else:
            node[f"{key}x" if how == "add" else key] = value

    return change


def builds(file: Path) -> bool:
    """Whether a run is built of a file; anything but a refusal fails the test."""
    try:
        prepare_weights(["--config", str(file), f"--run_dir={file.parent / 'run'}"])
    except (UserError, SystemExit):  # the parser exits with its message
        return False
    return True


def test_the_configuration_itself_builds(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump(experiment()))
    assert builds(file)


def test_changed_configuration_builds_or_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "changed.yaml"

    @bounded
    @given(change=changes())
    def holds(change: Callable[[dict[str, Any]], None]) -> None:
        config = copy.deepcopy(experiment())
        change(config)
        file.write_text(yaml.safe_dump(config))
        builds(file)

    holds()


@pytest.mark.parametrize("head", [b"", b"model: CLVAE\ndata: ToyStreet\n"])
def test_random_text_is_refused(head: bytes, tmp_path: Path) -> None:
    file = tmp_path / "random.yaml"

    @bounded
    @given(text=st.text(SIGNS, max_size=20).map(str.encode) | st.binary(max_size=20))
    def holds(text: bytes) -> None:
        file.write_bytes(head + text)
        builds(file)

    holds()
