import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.cli import main
from semsynth.errors import UserError
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.stylegan2 import import_stylegan2, infer_channels
from semsynth.methods.opening import check_checkpoint
from semsynth.weights import priors
from tests.helpers.slow_convolution import FILTER, modulated_conv, upfirdn
from tests.interop.conftest import Outputs, below, save

Make = Callable[..., dict[str, Any]]
Dump = Callable[..., Path]
ARCHITECTURES = [
    {"seed": 1, "image_size": 64, "channel_base": 512, "channel_max": 24, "w_dim": 16},
    {"seed": 2, "image_size": 64, "channel_base": 256, "channel_max": 32, "w_dim": 8, "layers": 8},
    {"seed": 3, "image_size": 256, "channel_base": 512, "channel_max": 8, "layers": 2},
    {"seed": 4, "image_size": 16, "channel_base": 999, "channel_max": 9, "layers": 1},
]


@pytest.mark.parametrize("kind", ["rosinality", "pSp"])
def test_fixture_gives_the_outputs_of_the_official_code(kind: str, tmp_path: Path) -> None:
    official = Outputs("stylegan2")
    stored, weights = official.stored, official.weights(official.keys)
    # a filter with a sum of 4, as both kinds here upsample
    weights |= {key: FILTER * 4 for key in weights if key.endswith(".kernel")}
    mean = torch.zeros(stored["w"].shape[1])
    content: dict[str, Any] = {"g_ema": weights, "latent_avg": mean}
    if kind == "pSp":
        num_ws = 2 * official.config["image_size"].bit_length() - 4
        content = {"state_dict": below(weights, "decoder"), "opts": {}}
        content["latent_avg"] = mean.expand(num_ws, -1)
    main(["import", str(save(content, tmp_path)), "--as", "stylegan2", "--out", str(tmp_path)])
    generator = priors.load_generator(tmp_path / "official.safetensors")
    with torch.no_grad():
        w = generator.mapping(official.normal("z", *stored["w"].shape))
        image = generator.synthesis(generator.repeat(w), "stored")
    error = np.abs(w.numpy() - stored["w"]).max()
    assert error < 1e-4 * np.abs(stored["w"]).mean()
    assert np.abs(image[:, :, ::2, ::2].numpy() - stored["image_out"]).max() < 1e-3


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def slow_mapping(G: dict[str, Tensor], z: Tensor) -> Tensor:
    w = z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()
    for i in range(1, sum(re.fullmatch(r"style\.\d+\.bias", k) is not None for k in G) + 1):
        weight = G[f"style.{i}.weight"] * 0.01 / math.sqrt(w.shape[1])
        w = lrelu(w @ weight.T + G[f"style.{i}.bias"] * 0.01)
    return w


def slow_layer(G: dict[str, Tensor], name: str, x: Tensor, w: Tensor, demodulate: bool) -> Tensor:
    """Modulated convolution of one sample with weights of its own."""
    style = G[f"{name}.conv.modulation.weight"] @ w / math.sqrt(len(w))
    style = style + G[f"{name}.conv.modulation.bias"]
    weight, enlarge_by = G[f"{name}.conv.weight"][0], G.get(f"{name}.conv.blur.kernel")
    return modulated_conv(x[0], weight, style, demodulate, enlarge_by)[None]


def slow_generator(G: dict[str, Tensor], w: Tensor) -> Tensor:
    """One image of one latent, layer by layer, by the names of rosinality's code."""

    def styled(name: str, x: Tensor, noise: int) -> Tensor:
        x = slow_layer(G, name, x, w, demodulate=True)
        x = x + G[f"{name}.noise.weight"] * G[f"noises.noise_{noise}"]
        return lrelu(x + G[f"{name}.activate.bias"].view(1, -1, 1, 1))

    def to_rgb(name: str, x: Tensor) -> Tensor:
        return slow_layer(G, name, x, w, demodulate=False) + G[f"{name}.bias"]

    x = styled("conv1", G["input.input"], 0)
    image = to_rgb("to_rgb1", x)
    for i in range(sum(k.endswith("upsample.kernel") for k in G)):
        x = styled(f"convs.{2 * i}", x, 2 * i + 1)
        x = styled(f"convs.{2 * i + 1}", x, 2 * i + 2)
        image = upfirdn(image, G[f"to_rgbs.{i}.upsample.kernel"], 2, 1, (2, 1))
        image = image + to_rgb(f"to_rgbs.{i}", x)
    return image


def slow_discriminator(D: dict[str, Tensor], image: Tensor) -> Tensor:
    """Logits of one group of images, by the names of rosinality's code."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        weight = D[name] / math.sqrt(D[name][0].numel())
        return F.conv2d(x, weight, stride=stride, padding=padding)

    def activate(name: str, x: Tensor) -> Tensor:
        return lrelu(x + D[name].view(1, -1, *[1] * (x.ndim - 2)))

    x = activate("convs.0.1.bias", conv("convs.0.0.weight", image))
    for k in range(1, sum(key.endswith("skip.1.weight") for key in D) + 1):
        name = f"convs.{k}"
        y = activate(f"{name}.conv1.1.bias", conv(f"{name}.conv1.0.weight", x, padding=1))
        y = conv(f"{name}.conv2.1.weight", upfirdn(y, D[f"{name}.conv2.0.kernel"], 1, 1, (2, 2)), 2)
        y = activate(f"{name}.conv2.2.bias", y)
        skip = upfirdn(x, D[f"{name}.skip.0.kernel"], 1, 1, (1, 1))
        x = (y + conv(f"{name}.skip.1.weight", skip, 2)) / math.sqrt(2)
    spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
    x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], 1)
    x = activate("final_conv.1.bias", conv("final_conv.0.weight", x, padding=1)).flatten(1)
    weight = D["final_linear.0.weight"]
    x = activate("final_linear.0.bias", x @ weight.T / math.sqrt(weight.shape[1]))
    weight = D["final_linear.1.weight"]
    return (x @ weight.T / math.sqrt(weight.shape[1]) + D["final_linear.1.bias"])[:, 0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_imported_networks_equal_slow_ones_with_the_official_names(
    architecture: dict[str, int], rosinality: Make, tmp_path: Path
) -> None:
    checkpoint = rosinality(**architecture)
    imported = import_stylegan2(save(checkpoint, tmp_path))
    G = imported.generator
    assert imported.discriminator is not None
    with torch.no_grad():
        z = torch.randn(2, G.z_dim)
        w = G.mapping(z)
        torch.testing.assert_close(w, slow_mapping(checkpoint["g_ema"], z), rtol=1e-4, atol=1e-6)
        images = G.synthesis(G.repeat(w))
        expected = torch.cat([slow_generator(checkpoint["g_ema"], one) for one in w])
        torch.testing.assert_close(images, expected, rtol=0, atol=1e-4 * expected.std().item())
        logits = imported.discriminator(images)
        expected = slow_discriminator(checkpoint["d"], images)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_is_read_off_the_shapes(
    architecture: dict[str, int], rosinality: Make, tmp_path: Path
) -> None:
    arguments = import_stylegan2(save(rosinality(**architecture), tmp_path)).generator_arguments
    assert arguments["image_size"] == architecture["image_size"]
    assert arguments["z_dim"] == arguments["w_dim"] == architecture.get("w_dim", 16)
    assert arguments["mapping_layers"] == architecture.get("layers", 3)
    for i in range(architecture["image_size"].bit_length() - 2):
        theirs = min(architecture["channel_max"], architecture["channel_base"] // (4 << i))
        assert min(arguments["channel_max"], arguments["channel_base"] // (4 << i)) == theirs


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ([512, 512, 512, 512, 512, 256, 128], (32768, 512)),
        ([512, 512, 512, 512, 256, 128, 64, 32, 16], (16384, 512)),
        ([512, 512, 512, 512, 512], (32768, 512)),
        ([64, 32, 16], (256, 64)),
    ],
)
def test_channels_of_known_networks(widths: list[int], expected: tuple[int, int]) -> None:
    assert infer_channels(widths) == expected


@pytest.mark.parametrize("protocol", [2, 4])
def test_nvidia_pickle_gives_the_networks_of_the_same_weights_elsewhere(
    protocol: int, rosinality: Make, nvidia: Make, dump: Dump, tmp_path: Path
) -> None:
    checkpoint = rosinality()
    ours = import_stylegan2(dump(nvidia(checkpoint), protocol))
    theirs = import_stylegan2(save(checkpoint, tmp_path))
    assert ours.discriminator is not None
    assert theirs.discriminator is not None
    for a, b in ((ours.generator, theirs.generator), (ours.discriminator, theirs.discriminator)):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), atol=0, rtol=0)
    assert ours.generator_arguments == theirs.generator_arguments
    assert ours.discriminator_arguments == theirs.discriminator_arguments
    assert "NVIDIA Source Code License" in ours.source.licence


def test_source_code_in_a_nvidia_pickle_is_not_run(
    rosinality: Make, nvidia: Make, dump: Dump, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    content = nvidia(rosinality())
    kind = type(content["G_ema"])
    monkeypatch.setattr(kind, "source_code", f"open({str(marker)!r}, 'w').close()")
    path = dump(content)
    assert str(marker).encode() in path.read_bytes()
    assert import_stylegan2(path).generator.image_size == 32
    assert not marker.exists()


def test_learning_rate_multiplier_and_group_size_come_from_the_nvidia_pickle(
    rosinality: Make, nvidia: Make, dump: Dump
) -> None:
    content = nvidia(rosinality())
    for i in range(3):
        content["G_ema"].get_submodule(f"mapping.fc{i}").__dict__["bias_gain"] = 0.5
    content["D"].get_submodule("b4.mbstd").__dict__["group_size"] = 8
    imported = import_stylegan2(dump(content))
    assert imported.generator_arguments["mapping_lr_multiplier"] == 0.5
    assert imported.discriminator_arguments is not None
    assert imported.discriminator_arguments["group_size"] == 8


def test_psp_bundle_gives_the_generator_of_its_decoder(rosinality: Make, tmp_path: Path) -> None:
    checkpoint = rosinality()
    expected = import_stylegan2(save(checkpoint, tmp_path)).generator.state_dict()
    state = below(checkpoint["g_ema"], "decoder")
    state["encoder.input_layer.0.weight"] = torch.zeros(4, 4, 3, 3)
    mean = checkpoint["latent_avg"].repeat(8, 1)
    bundle = {"state_dict": state, "opts": {"n_styles": 8, "lr": 1e-4}, "latent_avg": mean}
    imported = import_stylegan2(save(bundle, tmp_path))
    assert all(torch.equal(v, expected[k]) for k, v in imported.generator.state_dict().items())
    assert imported.discriminator is None
    assert imported.source.left_out == ["encoder.*", "opts"]


def test_training_file_has_arguments_and_no_mean_latent_which_is_estimated(
    rosinality: Make, tmp_path: Path
) -> None:
    checkpoint = rosinality()
    del checkpoint["latent_avg"]
    args = argparse.Namespace(size=32, path="images", lr=2e-3, mixing=0.9)
    imported = import_stylegan2(
        save(checkpoint | {"args": args, "ada_aug_p": 0.0, "g_optim": {"state": {}}}, tmp_path)
    )
    assert imported.mean_latent_estimated
    assert imported.source.format == "rosinality training"
    w = slow_mapping(checkpoint["g_ema"], torch.randn(20_000, 16))
    error = imported.generator.mean_latent - w.mean(0)
    assert error.abs().max() < 6 * w.std(0).max() * math.sqrt(1 / 20_000 + 1 / 10_000)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
def test_prefixes_of_all_keys_and_numpy_scalars_change_nothing(
    prefix: str, rosinality: Make, tmp_path: Path
) -> None:
    checkpoint = rosinality()
    plain = import_stylegan2(save(checkpoint, tmp_path)).generator.state_dict()
    for network in ("g_ema", "d"):
        checkpoint[network] = {prefix + key: value for key, value in checkpoint[network].items()}
    file = save(checkpoint | {"iter": np.float64(3), "steps": np.int64(7)}, tmp_path)
    imported = import_stylegan2(file)
    assert {"iter", "steps"} <= set(imported.source.left_out)
    torch.testing.assert_close(imported.generator.state_dict(), plain, atol=0, rtol=0)


def test_numpy_array_of_objects_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"_reconstruct.*nothing was executed"):
        import_stylegan2(save({"g_ema": np.array([print])}, tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>scan warning</html>", "a web page"),
        (b"PK\x03\x04" + bytes(99), "truncated, as a download that broke off"),
        (b"", "the file is empty"),
    ],
)
def test_file_that_is_no_checkpoint_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.pt.*{reason}"):
        import_stylegan2(file)
    with pytest.raises(UserError, match=rf"a\.pt cannot be read as a checkpoint: {reason}"):
        check_checkpoint(str(file), "CLVAE")


def test_half_precision_files_are_imported_in_float32(rosinality: Make, tmp_path: Path) -> None:
    checkpoint = rosinality()
    checkpoint["g_ema"] = {k: v.half() for k, v in checkpoint["g_ema"].items()}
    generator = import_stylegan2(save(checkpoint, tmp_path)).generator
    assert {v.dtype for v in generator.state_dict().values()} == {torch.float32}


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda c: c["g_ema"].pop(key)


def put(key: str, value: Any, network: str = "g_ema") -> Callable[[dict[str, Any]], object]:
    return lambda c: c[network].update({key: value})


def replace(key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda c: c.update({key: value})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (drop("to_rgbs.1.bias"), r"generator lacks tensors: to_rgbs\.1\.bias"),
        (drop("noises.noise_3"), r"generator lacks tensors: noises\.noise_3"),
        (drop("convs.2.conv.blur.kernel"), r"generator lacks tensors: convs\.2\.conv\.blur"),
        (put("extra", torch.zeros(1)), "generator has unknown tensors: extra"),
        (put("extra", torch.zeros(1), "d"), "discriminator has unknown tensors: extra"),
        (put("convs.0.conv.blur.kernel", torch.ones(4, 4) / 4), r"blur\.kernel is not the filter"),
        (put("to_rgbs.0.upsample.kernel", torch.ones(2, 2)), r"upsample\.kernel is not the filter"),
        (put("conv1.conv.weight", torch.zeros(1, 16, 16, 5, 5)), r"conv1\.conv\.weight has shape"),
        (put("conv1.conv.weight", torch.full((1, 16, 16, 3, 3), torch.nan)), "NaN or infinite"),
        (put("to_rgb1.bias", torch.zeros(1, 1, 1, 1)), r"to_rgb1\.bias has shape"),
        (put("style.1.weight", torch.zeros(16)), r"style\.1\.weight has .* expected 2 axes"),
        (put("convs.1.activate.bias", torch.zeros(20)), "16 at 4, 20 at 8, 16 at 16, 8 at 32"),
        (replace("latent_avg", torch.randn(8, 16)), "latent_avg differs from layer to layer"),
        (replace("latent_avg", torch.zeros(5)), "mean latent has shape"),
        (replace("latent_avg", "none"), "latent_avg is not a tensor"),
        (replace("g_ema", 5), "g_ema is not a state dict"),
        (lambda c: c.pop("g_ema"), r"it has d, latent_avg, not g_ema"),
        (replace("g_ema", {"a.b": torch.zeros(1)}), "0 mapping layers"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_reason(
    damage: Callable[[dict[str, Any]], object], reason: str, rosinality: Make, tmp_path: Path
) -> None:
    checkpoint = rosinality()
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=rf"official\.pt.*{reason}"):
        import_stylegan2(save(checkpoint, tmp_path))


def test_widths_that_grow_with_the_resolution_are_refused_and_listed() -> None:
    with pytest.raises(CheckpointError, match="512 at 4, 512 at 8, 1024 at 16"):
        infer_channels([512, 512, 1024])


def add_to(network: str, name: str, leaf: str) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        parent, _, child = name.rpartition(".")
        module = type(content["G_ema"])()
        module.register_buffer(leaf, torch.zeros(1))
        content[network].get_submodule(parent).add_module(child, module)

    return change


def change_activation(content: dict[str, Any]) -> None:
    content["G_ema"].get_submodule("synthesis.b8.conv0").__dict__["activation"] = "relu"


def compare_whole_batches(content: dict[str, Any]) -> None:
    content["D"].get_submodule("b4.mbstd").__dict__["group_size"] = None


def learn_at_two_rates(content: dict[str, Any]) -> None:
    content["G_ema"].get_submodule("mapping.fc1").__dict__["bias_gain"] = 1.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add_to("G_ema", "mapping.embed", "weight"), r"generator is conditional \(mapping\.embed"),
        (add_to("D", "mapping", "w"), r"discriminator is conditional \(mapping"),
        (add_to("G_ema", "synthesis.input", "freqs"), "StyleGAN3 network"),
        (add_to("G_ema", "synthesis.L4_84_512", "weight"), "StyleGAN3 network"),
        (add_to("G_ema", "synthesis.b8.skip", "weight"), r"unknown tensors: synthesis\.b8\.skip"),
        (change_activation, "activation of its generator is relu, not lrelu"),
        (compare_whole_batches, "mbstd_group_size None"),
        (learn_at_two_rates, r"different rates: \[0\.01, 1\.0\]"),
        (lambda c: c["G_ema"]._modules.pop("mapping"), "0 mapping layers"),
        (lambda c: c.pop("G_ema"), "without NVIDIA's G_ema"),
    ],
)
def test_other_networks_of_nvidia_are_refused_with_the_reason(
    change: Callable[[dict[str, Any]], object],
    reason: str,
    rosinality: Make,
    nvidia: Make,
    dump: Dump,
) -> None:
    content = nvidia(rosinality())
    change(content)
    with pytest.raises(CheckpointError, match=rf"official\.pkl.*{reason}"):
        import_stylegan2(dump(content))
