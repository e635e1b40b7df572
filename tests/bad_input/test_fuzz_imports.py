"""Whatever a file holds, an importer understands it or refuses it by an error of the project.

Derandomised and short; ``--hypothesis-seed=N`` and ``HYPOTHESIS_EXAMPLES=1000`` search further.
"""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semsynth.data.latents import read_codes
from semsynth.errors import UserError
from semsynth.interop.clvae import import_clvae
from semsynth.interop.latent_transformer import import_latent_transformer
from semsynth.interop.psp import import_psp
from semsynth.interop.stylegan2 import import_stylegan2
from semsynth.weights import ASSETS, load_segmenter
from tests.interop import conftest as official
from tests.interop import small_files

State = dict[str, Tensor]
Importer = Callable[[Path], object]
EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "12"))
SLOW = {"clvae": 10}  # building its networks takes seconds, so fewer examples


def bounded(kind: str) -> settings:
    """How long to search in files of a kind."""
    number = EXAMPLES // SLOW.get(kind, 1)
    derandomize = "HYPOTHESIS_EXAMPLES" not in os.environ
    return settings(max_examples=number, derandomize=derandomize, deadline=None, database=None)


KINDS: dict[str, tuple[Callable[[], dict[str, Any]], Importer, str]] = {
    "stylegan2": (small_files.stylegan2, import_stylegan2, "official.pt"),
    "fewshot_smis": (small_files.psp, import_psp, "official.pt"),
    "lt": (small_files.latent_transformer, import_latent_transformer, "official.pt"),
    "clvae": (small_files.clvae, import_clvae, "latest_net_G.pth"),
    "codes": (lambda: {"codes": torch.zeros(1, 4, 8)}, read_codes, "codes.pt"),
}


@cache
def whole(kind: str) -> dict[str, Any]:
    """What a file of a kind holds that its importer takes."""
    return KINDS[kind][0]()


@pytest.fixture(scope="module")
def nvidia_pickle() -> Iterator[bytes]:
    """A pickle as NVIDIA's code writes it."""
    with pytest.MonkeyPatch.context() as patch:
        for thing in (official.reconstruct, official.EasyDict):
            module = ModuleType(thing.__module__)
            setattr(module, thing.__qualname__, thing)
            patch.setitem(sys.modules, thing.__module__.split(".")[0], ModuleType("package"))
            patch.setitem(sys.modules, thing.__module__, module)
        source = small_files.stylegan2()
        state = official.nvidia_generator(source["g_ema"], source["latent_avg"])
        yield pickle.dumps({"G_ema": official.persistent(state, "Generator")}, 4)


def taken_or_refused(importer: Importer, path: Path) -> bool:
    """Whether a file was taken; anything but a refusal of the project fails the test."""
    try:
        importer(path)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_importer_takes_what_is_whole(kind: str, tmp_path: Path) -> None:
    _, importer, name = KINDS[kind]
    torch.save(whole(kind), tmp_path / name)
    assert taken_or_refused(importer, tmp_path / name)


HEADS = st.sampled_from([b"", b"PK\x03\x04", b"\x80\x04", b"("])


@pytest.mark.parametrize("kind", KINDS)
def test_random_bytes_are_refused(kind: str, tmp_path: Path) -> None:
    _, importer, name = KINDS[kind]

    @bounded(kind)
    @given(head=HEADS, content=st.binary(max_size=300))
    def refuses(head: bytes, content: bytes) -> None:
        (tmp_path / name).write_bytes(head + content)
        assert not taken_or_refused(importer, tmp_path / name)

    refuses()


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Ways to damage bytes: cut off, overwrite, insert."""
    where, what = draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=8))
    how = draw(st.sampled_from(["cut", "overwrite", "insert"]))

    def damage(content: bytes) -> bytes:
        at = int(where * (len(content) - 1))
        rest = {"cut": b"", "overwrite": content[at + len(what) :], "insert": content[at:]}[how]
        return content[:at] + (b"" if how == "cut" else what) + rest

    return damage


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_is_taken_or_refused(kind: str, tmp_path: Path) -> None:
    _, importer, name = KINDS[kind]
    torch.save(whole(kind), tmp_path / "whole")

    @bounded(kind)
    @given(damage=damages())
    def holds(damage: Callable[[bytes], bytes]) -> None:
        (tmp_path / name).write_bytes(damage((tmp_path / "whole").read_bytes()))
        taken_or_refused(importer, tmp_path / name)

    holds()


def test_damaged_pickle_is_taken_or_refused(nvidia_pickle: bytes, tmp_path: Path) -> None:
    path = tmp_path / "official.pkl"

    @bounded("nvidia")
    @given(damage=damages())
    def holds(damage: Callable[[bytes], bytes]) -> None:
        path.write_bytes(damage(nvidia_pickle))
        taken_or_refused(import_stylegan2, path)

    holds()


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.lists(st.integers(0, 5), max_size=5).map(torch.zeros),
    st.lists(st.integers(0, 5), max_size=5).map(lambda shape: torch.ones(shape, dtype=torch.int64)),
    st.just(torch.full((4, 4), float("nan"))),
    st.sampled_from([None, 3, "text", [], {}]),
)


@st.composite
def changes(draw: st.DrawFn) -> Callable[[dict[str, Any]], None]:
    """Ways to change entries of a dictionary: remove, rename, replace."""
    how = draw(st.lists(st.sampled_from(["remove", "rename", "replace"]), min_size=1, max_size=3))
    places, value = draw(st.lists(st.floats(0, 1), min_size=3, max_size=3)), draw(VALUES)

    def change(content: dict[str, Any]) -> None:
        for step, place in zip(how, places, strict=False):
            keys = sorted(content) or ["new"]
            key = keys[int(place * (len(keys) - 1))]
            old = content.pop(key, None)
            if step == "rename":
                content[f"{key}2"] = old
            elif step == "replace":
                content[key] = value

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_tensors_are_taken_or_refused(kind: str, tmp_path: Path) -> None:
    _, importer, name = KINDS[kind]

    @bounded(kind)
    @given(change=changes(), outside=st.booleans())
    def holds(change: Callable[[dict[str, Any]], None], outside: bool) -> None:
        content = {k: dict(v) if isinstance(v, dict) else v for k, v in whole(kind).items()}
        inner = next((v for v in content.values() if isinstance(v, dict)), content)
        change(content if outside else inner)
        torch.save(content, tmp_path / name)
        taken_or_refused(importer, tmp_path / name)

    holds()


def test_damaged_safetensors_and_cards_are_taken_or_refused(tmp_path: Path) -> None:
    source, path = ASSETS / "toy_street_segmenter.safetensors", tmp_path / "mine.safetensors"
    own_card = source.with_suffix(".json").read_text()

    @bounded("segmenter")
    @given(damage=damages(), card=st.one_of(st.none(), st.text(max_size=20)))
    def holds(damage: Callable[[bytes], bytes], card: str | None) -> None:
        path.write_bytes(damage(source.read_bytes()))
        path.with_suffix(".json").write_text(own_card if card is None else card)
        taken_or_refused(lambda p: load_segmenter(str(p)), path)

    holds()
