import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.cli import main
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.psp import import_psp
from semsynth.networks.clvae.layouts import one_hot
from semsynth.weights import MissingWeightsError, WeightsError
from semsynth.weights.encoders import load_encoder
from semsynth.weights.priors import load_generator
from tests.interop.conftest import Outputs, below, save

Make = Callable[..., dict[str, Any]]
State = dict[str, Tensor]
UNITS, WIDTHS = (2, 1, 3, 1), (16, 18, 20, 24)


def encoder_state(
    num_ws: int, image_size: int = 32, in_channels: int = 5, w_dim: int = 16
) -> State:
    """A small encoder by the official names, written down from their list."""
    draw = torch.Generator().manual_seed(0)
    state: State = {}

    def weight(name: str, *shape: int) -> None:
        fan_in = torch.Size(shape[1:]).numel()
        state[f"{name}.weight"] = torch.randn(shape, generator=draw) / fan_in**0.5

    def vector(name: str, size: int) -> None:
        state[name] = torch.randn(size, generator=draw)

    def norm(name: str, size: int) -> None:
        for leaf in ("weight", "bias", "running_mean"):
            vector(f"{name}.{leaf}", size)
        state[f"{name}.running_var"] = torch.rand(size, generator=draw) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    weight("input_layer.0", WIDTHS[0], in_channels, 3, 3)
    norm("input_layer.1", WIDTHS[0])
    vector("input_layer.2.weight", WIDTHS[0])
    index, before = 0, WIDTHS[0]
    for units, width in zip(UNITS, WIDTHS, strict=True):
        for _ in range(units):
            name = f"body.{index}"
            norm(f"{name}.res_layer.0", before)
            weight(f"{name}.res_layer.1", width, before, 3, 3)
            vector(f"{name}.res_layer.2.weight", width)
            weight(f"{name}.res_layer.3", width, width, 3, 3)
            norm(f"{name}.res_layer.4", width)
            weight(f"{name}.res_layer.5.fc1", width // 16, width, 1, 1)
            weight(f"{name}.res_layer.5.fc2", width, width // 16, 1, 1)
            if before != width:
                weight(f"{name}.shortcut_layer.0", width, before, 1, 1)
                norm(f"{name}.shortcut_layer.1", width)
            index, before = index + 1, width
    for k, width in ((1, WIDTHS[2]), (2, WIDTHS[1])):
        weight(f"latlayer{k}", WIDTHS[3], width, 1, 1)
        vector(f"latlayer{k}.bias", WIDTHS[3])
    for i in range(num_ws):
        convs = (image_size // 32).bit_length() + (i >= 3) + (i >= 7)
        for k in range(convs):
            weight(f"styles.{i}.convs.{2 * k}", WIDTHS[3], WIDTHS[3], 3, 3)
            vector(f"styles.{i}.convs.{2 * k}.bias", WIDTHS[3])
        state[f"styles.{i}.linear.weight"] = torch.randn(w_dim, WIDTHS[3], generator=draw)
        vector(f"styles.{i}.linear.bias", w_dim)
    return state


def encode(s: State, x: Tensor) -> Tensor:
    """The official network in eval mode, from its description, one functional call at a time."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, gain, bias = (
            s[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, gain, bias)

    x = F.conv2d(x, s["input_layer.0.weight"], padding=1)
    x = F.prelu(norm(x, "input_layer.1"), s["input_layer.2.weight"])
    taps, index = [], 0
    for units in UNITS:
        for unit in range(units):
            name, stride = f"body.{index}", 2 if unit == 0 else 1
            y = F.conv2d(norm(x, f"{name}.res_layer.0"), s[f"{name}.res_layer.1.weight"], padding=1)
            y = F.prelu(y, s[f"{name}.res_layer.2.weight"])
            y = F.conv2d(y, s[f"{name}.res_layer.3.weight"], stride=stride, padding=1)
            y = norm(y, f"{name}.res_layer.4")
            gate = F.adaptive_avg_pool2d(y, 1)
            gate = F.relu(F.conv2d(gate, s[f"{name}.res_layer.5.fc1.weight"]))
            y = y * F.conv2d(gate, s[f"{name}.res_layer.5.fc2.weight"]).sigmoid()
            if f"{name}.shortcut_layer.0.weight" in s:
                x = F.conv2d(x, s[f"{name}.shortcut_layer.0.weight"], stride=stride)
                x = norm(x, f"{name}.shortcut_layer.1")
            else:
                x = F.max_pool2d(x, 1, stride)
            x, index = x + y, index + 1
        taps.append(x)
    maps = [taps[3]]
    for k, tap in ((1, taps[2]), (2, taps[1])):
        size = tap.shape[-2:]
        up = F.interpolate(maps[-1], size, mode="bilinear", align_corners=True)
        maps.append(up + F.conv2d(tap, s[f"latlayer{k}.weight"], s[f"latlayer{k}.bias"]))
    styles = []
    for i in range(sum(k.endswith("linear.bias") for k in s)):
        y, k = maps[0 if i < 3 else 1 if i < 7 else 2], 0
        while y.shape[-1] > 1:
            conv = f"styles.{i}.convs.{k}"
            y = F.conv2d(y, s[f"{conv}.weight"], s[f"{conv}.bias"], stride=2, padding=1)
            y, k = F.leaky_relu(y, 0.01), k + 2
        linear = s[f"styles.{i}.linear.weight"] / y.shape[1] ** 0.5
        styles.append(F.linear(y.flatten(1), linear, s[f"styles.{i}.linear.bias"]))
    return torch.stack(styles, 1)


@pytest.fixture
def bundle(rosinality: Make) -> Make:
    """Makes official bundles of an encoder, 32x32 by default, and a generator."""

    def make(generator_size: int = 32, num_ws: int | None = None, **encoder: Any) -> dict[str, Any]:
        sizes = {"channel_base": 4096, "channel_max": 4, "w_dim": 16}
        prior = rosinality(image_size=generator_size, **sizes)
        n = 2 * generator_size.bit_length() - 4
        state = below(prior["g_ema"], "decoder")
        state |= below(encoder_state(num_ws or n, **encoder), "encoder")
        return {
            "state_dict": state,
            "latent_avg": prior["latent_avg"].expand(n, -1).clone(),
            "opts": {"start_from_latent_avg": True, "input_nc": 5},
        }

    return make


def imported(content: Any, directory: Path, *flags: str) -> tuple[Any, Any]:
    """Encoder and generator of what the command writes."""
    file, out = str(save(content, directory)), str(directory / "out")
    main(["import", file, "--as", "fewshot_smis", "--out", out, *flags])
    generator = load_generator(directory / "out" / "official.safetensors")
    encoder = load_encoder(directory / "out" / "official_fewshot_smis.safetensors", generator)
    return encoder.eval(), generator


@pytest.mark.slow  # half a gigabyte
def test_fixture_gives_the_codes_of_the_official_code(rosinality: Make, tmp_path: Path) -> None:
    official = Outputs("psp")
    stored, config, state = official.stored, official.config, official.weights(official.keys)
    num_ws, w_dim = stored["codes"].shape
    prior = rosinality(image_size=2 << num_ws // 2, channel_base=4096, channel_max=4, w_dim=w_dim)
    state |= below(prior["g_ema"], "decoder")
    content = {"state_dict": state, "opts": {}, "latent_avg": torch.randn(w_dim).expand(num_ws, -1)}
    encoder, _ = imported(content, tmp_path)
    mask = torch.from_numpy(stored["mask"]).long()[None]
    with torch.no_grad():
        codes = encoder(one_hot(mask, config["num_classes"]))[0].numpy()
    assert codes.shape == (config["num_ws"], w_dim)
    assert np.abs(codes - stored["codes"]).max() < 1e-4 * np.abs(stored["codes"]).max()


@pytest.mark.parametrize(
    ("generator_size", "image_size", "in_channels"), [(32, 32, 5), (256, 64, 3), (1024, 128, 19)]
)
def test_bundle_gives_the_styles_of_the_official_network(
    bundle: Make, generator_size: int, image_size: int, in_channels: int, tmp_path: Path
) -> None:
    sizes = {"image_size": image_size, "in_channels": in_channels}
    content = bundle(generator_size, **sizes)
    encoder, generator = imported(content, tmp_path)
    state = {k[8:]: v for k, v in content["state_dict"].items() if k.startswith("encoder.")}
    x = torch.randn(2, in_channels, image_size, image_size)
    with torch.no_grad():
        styles = encoder(x)
    assert styles.shape == (2, {32: 8, 256: 14, 1024: 18}[generator_size], 16)
    torch.testing.assert_close(styles, encode(state, x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(generator.mean_latent, content["latent_avg"][0])


def test_state_of_the_encoder_keeps_all_numbers(bundle: Make, tmp_path: Path) -> None:
    content = bundle()
    encoder, _ = imported(content, tmp_path)
    theirs = [v for k, v in content["state_dict"].items() if k.startswith("encoder.")]
    ours = list(encoder.state_dict().values())
    assert len(ours) == len(theirs)
    assert {v.dtype for v in ours} == {torch.float32, torch.int64}
    totals = [sorted(float(v.double().sum()) for v in values) for values in (ours, theirs)]
    assert totals[0] == totals[1]


@pytest.mark.parametrize("namespace", [True, False])
def test_styles_that_are_not_relative_become_relative(
    bundle: Make, namespace: bool, tmp_path: Path
) -> None:
    content = bundle()
    options = {"start_from_latent_avg": False}
    content["opts"] = argparse.Namespace(**options) if namespace else options
    found = import_psp(save(content, tmp_path))
    state = {k[8:]: v for k, v in content["state_dict"].items() if k.startswith("encoder.")}
    x = torch.randn(1, 5, 32, 32)
    with torch.no_grad():
        w_plus = found.encoder.eval()(x) + found.prior.generator.mean_latent
    torch.testing.assert_close(w_plus, encode(state, x), atol=1e-4, rtol=1e-4)


def test_half_halves_the_file_and_keeps_the_styles(bundle: Make, tmp_path: Path) -> None:
    content = bundle()
    full, _ = imported(content, tmp_path)
    file = tmp_path / "out" / "official_fewshot_smis.safetensors"
    size = file.stat().st_size
    half, _ = imported(content, tmp_path, "--half", "--overwrite")
    assert file.stat().st_size < 0.6 * size
    x = torch.randn(1, 5, 32, 32)
    torch.testing.assert_close(half(x), full(x), atol=0.05, rtol=0.05)


def test_card_names_the_prior_and_the_source(
    bundle: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(bundle(), tmp_path)
    cards = [
        json.loads((tmp_path / "out" / f"official{suffix}.json").read_text())
        for suffix in ("", "_fewshot_smis")
    ]
    assert cards[1]["prior"] == cards[0]["fingerprint"]
    assert cards[1]["prior_file"] == "official.safetensors"
    assert cards[1]["source"] == cards[0]["source"]
    assert cards[0]["source"]["left_out"] == ["opts"]
    assert cards[1]["encoder"]["units"] == list(UNITS)
    assert cards[1]["encoder"]["widths"] == list(WIDTHS)
    text = capsys.readouterr().out
    for part in ("pSp bundle", "5 channels at 32x32 to 8 styles", "official_fewshot_smis.json"):
        assert part in text


def test_files_that_are_there_are_replaced_only_when_asked(bundle: Make, tmp_path: Path) -> None:
    imported(bundle(), tmp_path)
    (tmp_path / "out" / "official.safetensors").unlink()
    with pytest.raises(SystemExit, match=r"official_fewshot_smis\.safetensors already exists"):
        imported(bundle(), tmp_path)
    assert not (tmp_path / "out" / "official.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.body.9.weight": torch.zeros(1)}, r"lacks tensors: body\.7\.res_layer\.0\.bias"),
        ({"encoder.vit.weight": torch.zeros(1)}, r"unknown tensors: vit\.weight"),
        ({"face_pool.weight": torch.zeros(1)}, r"unknown parts: face_pool\.\*"),
        ({"encoder.body.2.res_layer.3.weight": None}, r"lacks tensors: body\.2\.res_layer\.3"),
        ({"encoder.input_layer.0.weight": None}, r"lacks tensors: input_layer\.0\.weight"),
        (
            {"encoder.latlayer1.weight": torch.zeros(24, 21, 1, 1)},
            r"latlayer1\.weight has shape \(24, 21, 1, 1\).*\(24, 20, 1, 1\)",
        ),
        (
            {"encoder.latlayer2.bias": torch.full((24,), torch.nan)},
            r"latlayer2\.bias .*NaN or infinite",
        ),
        (
            {"encoder.body.4.shortcut_layer.0.weight": torch.zeros(20, 20, 1, 1)},
            "has 5 groups of residual units and 8 heads",
        ),
    ],
)
def test_encoder_that_is_not_understood_in_full_is_refused(
    bundle: Make, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    content = bundle()
    state = content["state_dict"] | change
    content["state_dict"] = {k: v for k, v in state.items() if v is not None}
    path = save(content, tmp_path)
    with pytest.raises(CheckpointError, match=rf"official\.pt \(pSp bundle\): .*{message}"):
        import_psp(path)
    with pytest.raises(SystemExit, match=r"^semsynth import: "):
        main(["import", str(path), "--as", "fewshot_smis", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_encoder_of_another_kind_is_refused(bundle: Make, tmp_path: Path) -> None:
    content = bundle()
    for key in list(content["state_dict"]):
        if key.startswith("encoder.styles."):
            del content["state_dict"][key]
    with pytest.raises(CheckpointError, match=r"4 groups of residual units and 0 heads\. Known is"):
        import_psp(save(content, tmp_path))


def test_encoder_of_more_styles_than_its_generator_is_refused(bundle: Make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gives 10 styles of length 16, its generator takes"):
        import_psp(save(bundle(32, num_ws=10), tmp_path))


def test_file_without_an_encoder_is_refused(rosinality: Make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it has no encoder.*--as stylegan2"):
        import_psp(save(rosinality(), tmp_path))


def test_encoder_is_refused_with_another_prior(
    bundle: Make, rosinality: Make, tmp_path: Path
) -> None:
    imported(bundle(), tmp_path)
    file = tmp_path / "out" / "official_fewshot_smis.safetensors"
    other = import_psp(save(bundle(64), tmp_path)).prior.generator
    with pytest.raises(WeightsError, match=r"belongs to the prior with fingerprint \w{12}, but"):
        load_encoder(file, other)
    with pytest.raises(WeightsError, match="does not describe an encoder"):
        load_encoder(tmp_path / "out" / "official.safetensors", other)
    with pytest.raises(MissingWeightsError, match="--as fewshot_smis"):
        load_encoder(tmp_path / "nothing.safetensors", other)
