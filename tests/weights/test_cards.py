"""What is the same for weight files of all kinds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from semsynth import weights
from semsynth.methods.trained import load_trained
from semsynth.methods.user_controllable_lt import UserControllableLT
from semsynth.weights.cards import write_weights
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import load_generator

KINDS: dict[str, tuple[str, Callable[[str], object], str]] = {
    "segmenter": ("toy_street", weights.load_segmenter, r"Shipped: .*toy_street"),
    "prior": ("toy_portrait", load_generator, r"Shipped: toy_portrait\."),
    "estimator": ("toy_flow", load_motion_estimator, "dis, toy_flow, raft_small"),
    "editor": ("toy_portrait", UserControllableLT.from_file, r"Shipped: toy_portrait\."),
    "trained": ("toy_street_clvae", lambda n: load_trained(n)[0], r"Shipped: .*toy_street_clvae"),
}
FROZEN = {"segmenter", "prior", "estimator", "trained"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_ships_is_loaded_in_float32_and_eval_mode(kind: str) -> None:
    name, load, _ = KINDS[kind]
    network = load(name)
    assert isinstance(network, nn.Module)
    assert not network.training
    assert {v.dtype for v in network.parameters()} == {torch.float32}
    if kind in FROZEN:
        assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("kind", sorted(FROZEN))
def test_loading_leaves_the_random_numbers_of_the_run_alone(kind: str) -> None:
    name, load, _ = KINDS[kind]
    before = torch.get_rng_state()
    load(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_name_lists_those_that_ship(kind: str) -> None:
    _, load, listed = KINDS[kind]
    with pytest.raises(weights.MissingWeightsError, match=rf"(?s)'toy_moon'.*{listed}"):
        load("toy_moon")


@pytest.mark.parametrize("file", sorted(weights.ASSETS.glob("*.safetensors")), ids=lambda f: f.stem)
def test_shipped_file_is_small_and_says_where_it_comes_from(file: Path) -> None:
    card = json.loads(file.with_suffix(".json").read_text())
    assert file.stat().st_size < 5_000_000
    assert {"what", "config", "command", "seed", "commit", "torch", "storage"} <= card.keys()


def test_only_tensors_of_enough_axes_are_stored_in_half(tmp_path: Path) -> None:
    state = {"matrix": torch.full((1, 1), 0.1), "scale": torch.tensor([1e6]), "n": torch.tensor(3)}
    write_weights(state, tmp_path / "a.safetensors", {}, half=True, min_ndim=2)
    read = load_file(tmp_path / "a.safetensors")
    assert {k: v.dtype for k, v in read.items()} == {
        "matrix": torch.float16,
        "scale": torch.float32,
        "n": torch.int64,
    }
    assert {p.name for p in tmp_path.iterdir()} == {"a.safetensors", "a.json"}
