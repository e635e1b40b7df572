"""Numbers that are no numbers, cards of wrong types and files that never end are all refused."""

import copy
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import pytest
import torch

from benchmarks.run import run as run_sweep
from semsynth.cli import TOOLS, tool
from semsynth.cli.parsing import arguments_of, without_none
from semsynth.cli.preflight import choose_device
from semsynth.data import Folder
from semsynth.errors import UsageError, UserError
from semsynth.images import to_uint8
from semsynth.methods import CLVAE, LabelFlow, Segmenter, StyleGAN2, UserControllableLT
from semsynth.methods.opening import load_editor
from semsynth.methods.trained import load_trained
from semsynth.weights import ASSETS, load_segmenter
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import load_generator
from tests.bad_input.conftest import write_folder
from tests.helpers.command import status_of

HUGE = "1" + 20 * "0"
WRONG: dict[type, list[str]] = {
    float: ["nan", ".nan", ".inf", "inf", "-inf", "1e400"],
    int: ["nan", HUGE],
}
SEEDS = ["-1", str(2**64)]


def tools() -> dict[str, Callable[..., Any]]:
    """Every command that is a function, by its words."""
    found: dict[str, Callable[..., Any]] = {"benchmarks.run": run_sweep}
    for name in TOOLS:
        made = tool(name)
        of_verbs = (
            {f"{name} {verb}": f for verb, f in made.items()} if isinstance(made, dict) else {}
        )
        found |= of_verbs or {name: made}
    return found


class Flag(NamedTuple):
    """How a parameter is given: words before its values, their type and number, if it needs one."""

    words: list[str]
    kind: Any
    number: int
    required: bool

    def given(self, value: str) -> list[str]:
        """The words of a command line that give it a value."""
        if self.number == 1 and self.words:
            return [f"{self.words[0]}={value}"]
        return [*self.words, *[value] * self.number]


def flags_of(function: Callable[..., Any]) -> Iterator[Flag]:
    """The parameters of a command."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in signature(function).parameters.items():
        hint, *extra = get_args(hints[name]) if is_annotated(hints[name]) else [hints[name]]
        hint = without_none(hint)
        named = [word for word in extra if word.startswith("--")] or [f"--{name}"]
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        parts = get_args(hint) or (hint,)
        count = len(parts) if get_origin(hint) is tuple else 1
        yield Flag(named * keyword, parts[0], count, parameter.default is parameter.empty)


def is_annotated(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def numbers() -> Iterator[tuple[str, str, list[str]]]:
    """Command, flag and words, with a value for each numeric flag that is no usable number."""
    for name, function in tools().items():
        flags = list(flags_of(function))
        needed = [flag.given(flag.kind if isinstance(flag.kind, str) else "1") for flag in flags]
        words = [
            word for flag, own in zip(flags, needed, strict=True) if flag.required for word in own
        ]
        for flag in flags:
            seeds = SEEDS if flag.words == ["--seed"] else []
            for value in WRONG.get(flag.kind, []) + seeds if flag.words else []:
                yield name, flag.words[0], [*words, *flag.given(value)]


NUMBERS = list(numbers())


@pytest.mark.parametrize(
    ("name", "flag", "words"), NUMBERS, ids=[f"{n} {w[-1]}" for n, _, w in NUMBERS]
)
def test_value_that_is_no_number_is_refused_by_every_flag(
    name: str, flag: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((UsageError, SystemExit)) as refused:
        arguments_of(tools()[name], words, name)
    said = str(refused.value) + capsys.readouterr().err
    assert getattr(refused.value, "code", 2) == 2
    assert flag in said


METHODS: list[tuple[type, dict[str, Any]]] = [
    (CLVAE, {"num_classes": 3}),
    (LabelFlow, {"num_classes": 3}),
    (Segmenter, {"num_classes": 3}),
    (StyleGAN2, {}),
    (UserControllableLT, {"prior": "toy_portrait"}),
]
ARGUMENTS = [
    (kind, needed, name)
    for kind, needed in METHODS
    for name, p in signature(kind.__init__).parameters.items()  # type: ignore[misc]
    if isinstance(p.default, float)
]


@pytest.mark.parametrize(("kind", "needed", "name"), ARGUMENTS, ids=[a[2] for a in ARGUMENTS])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_constructor_refuses_it(
    kind: type, needed: dict[str, Any], name: str, value: float
) -> None:
    with pytest.raises(UserError, match=f"{name} is .*give a finite number"):
        kind(**needed, **{name: value})


def test_image_of_nan_is_not_written_as_black() -> None:
    with pytest.raises(UserError, match="NaN or infinite values, so none is written"):
        to_uint8(torch.tensor([[0.0, torch.nan]]))


LOADERS: dict[str, Callable[[str], object]] = {
    "toy_portrait_stylegan2": load_generator,
    "toy_portrait_segmenter": load_segmenter,
    "toy_portrait_layout": load_editor,
    "toy_portrait_fewshot_trained": load_trained,
    "toy_street_clvae_trained": load_trained,
    "toy_flow": load_motion_estimator,
}
LARGE = ("toy_portrait_fewshot_trained", "toy_portrait_layout", "toy_street_clvae_trained")
VALUES: list[Any] = [None, "x", -1, 1.5, [], {}]


def spoilt(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The card with one value of another type, or without it, down to the second level."""
    for key, inner in card.items():
        places = [(key,), *((key, k) for k in inner)] if isinstance(inner, dict) else [(key,)]
        for place in places:
            for value in VALUES:
                changed = copy.deepcopy(card)
                node = changed if len(place) == 1 else changed[key]
                node[place[-1]] = value
                yield changed


@pytest.mark.parametrize("name", [n for n in LOADERS if n not in LARGE])
def test_card_of_wrong_types_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.safetensors"
    shutil.copy(ASSETS / file.name, file)
    card = json.loads((ASSETS / file.name).with_suffix(".json").read_text())
    for changed in spoilt(card):
        file.with_suffix(".json").write_text(json.dumps(changed))
        try:
            LOADERS[name](str(file))
        except UserError:
            continue


@pytest.mark.slow  # builds each of them two hundred times
@pytest.mark.parametrize("name", LARGE)
def test_card_of_a_large_network_of_wrong_types_is_taken_or_refused(
    name: str, tmp_path: Path
) -> None:
    test_card_of_wrong_types_is_taken_or_refused(name, tmp_path)


@pytest.mark.parametrize("text", ["[" * 20_000, '{"a":' * 20_000, "nan", "[]", "\ud800"])
def test_card_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "prior.safetensors"
    shutil.copy(ASSETS / "toy_portrait_stylegan2.safetensors", file)
    file.with_suffix(".json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(UserError, match=r"prior\.json is"):
        load_generator(str(file))


@pytest.mark.parametrize("open_", ["[", "{a: ", "- " * 2])
@pytest.mark.parametrize(
    "words",
    [
        "fit --config experiments/clvae/toy_street.yaml --model.channels=",
        "data check --data folder --root . --data.num_classes=",
    ],
)
def test_argument_nested_thousands_deep_ends_in_one_message(
    words: str, open_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of([*words.split()[:-1], words.split()[-1] + open_ * 5000]) in (1, 2)
    assert len(capsys.readouterr().err) < 2000


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail what waits forever."""

    def fail(*_: object) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_what_is_no_file_is_not_listed_as_a_photo(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data")
    os.mkfifo(root / "train/images/x.png")
    (root / "train/labels/y.png").mkdir()
    with within(20):
        assert Folder(str(root), 3, image_size=32).names("train") == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["tpu", "", "cuda:99", "cpu:x", "-1", "meta"])
def test_device_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"not found; available: cpu"):
        choose_device(name)
