from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from semsynth.cli import main
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.latent_transformer import SIGMAS, build, import_latent_transformer
from semsynth.methods import UserControllableLT
from tests.interop.conftest import Outputs, below, rosinality_checkpoint, save


def shapes(dim: int, w_dim: int, features: int, depth: int, inner: int, mlp: int) -> dict[str, Any]:
    """Names and shapes of the released code."""
    found: dict[str, Any] = {"transformer_decoder.pos_embedding": (1, 6, dim)}

    def linear(name: str, c_in: int, c_out: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = (c_out, c_in), (c_out,)

    for stack, parts in (("encoder", "am"), ("decoder", "acm")):
        for i in range(depth):
            for j, part in enumerate(parts):
                layer = f"transformer_{stack}.layers.{i}.{j}"
                found[f"{layer}.norm.weight"] = found[f"{layer}.norm.bias"] = (dim,)
                if part == "m":
                    linear(f"{layer}.fn.net.0", dim, mlp)
                    linear(f"{layer}.fn.net.3", mlp, dim)
                    continue
                linear(f"{layer}.fn.to_out.0", inner, dim)
                names = ["to_qkv"] if part == "a" else ["to_q", "to_k", "to_v"]
                rows = 3 * inner if part == "a" else inner
                found |= {f"{layer}.fn.{name}.weight": (rows, dim) for name in names}
    linear("layer1", 3, dim // 2)
    linear("layer2", features, dim // 2)
    linear("layer3", dim, dim)
    linear("layer4", w_dim, dim)
    linear("mlp_head.0", dim, w_dim)
    return found


@pytest.fixture
def released(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A small file as the released code writes them, and its transformer."""
    G = rosinality_checkpoint(image_size=64, channel_base=512, channel_max=16)
    draw = torch.Generator().manual_seed(3)
    sizes = shapes(24, 16, 8, 2, 128, 20)
    encoder = {k: torch.randn(s, generator=draw) / 5 for k, s in sizes.items()}
    state = below(encoder, "encoder") | below(G["g_ema"], "decoder")
    mean = G["latent_avg"].expand(10, -1).clone()
    content = {"state_dict": state, "opts": {"lr": 1e-3}, "latent_avg": mean}
    path = tmp_path / "cat_drag.pt"
    torch.save(content, path)
    return path, encoder


def test_fixture_gives_the_output_of_the_official_code(tmp_path: Path) -> None:
    official = Outputs("latent_transformer")
    stored, config, weights = official.stored, official.config, official.weights(official.keys)
    tokens, w_dim = stored["w_out"].shape
    sizes = {"channel_base": w_dim * 64, "channel_max": w_dim, "w_dim": w_dim}
    G = rosinality_checkpoint(image_size=64, **sizes)
    weights |= below(G["g_ema"], "decoder")
    content = {"state_dict": weights, "opts": {}, "latent_avg": torch.zeros(10, w_dim)}
    path = save(content, tmp_path)
    words = ["import", str(path), "--as", "user_controllable_lt", "--dataset", "cat"]
    main([*words, "--out", str(tmp_path)])
    method = UserControllableLT.from_file(tmp_path / "official_layout.safetensors")
    assert sum(p.numel() for p in method.transformer.parameters()) == 26_141_440
    points = config["num_points"]
    named = {"w": (1, tokens, w_dim), "motions": (1, points, 3), "features": (1, points, w_dim)}
    inputs = [official.normal(name, *shape) for name, shape in named.items()]
    with torch.no_grad():
        mask = torch.ones(1, points, dtype=torch.bool)
        moved = method.transformer(*inputs, mask, config["alpha"])[0].numpy()
    assert np.abs(moved - stored["w_out"]).max() < 1e-4 * np.abs(stored["w_out"]).max()


def test_file_becomes_a_method_with_its_prior_and_the_units_of_its_data(
    released: tuple[Path, dict[str, Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, encoder = released
    out = tmp_path / "out"
    main(["import", str(path), "--as", "user_controllable_lt", "--dataset=car", f"--out={out}"])
    assert "5.0 px and 0.03 (car)" in capsys.readouterr().out
    method = UserControllableLT.from_file(out / "cat_drag_layout.safetensors")
    torch.testing.assert_close(method.motion_scale, torch.tensor([5.0, 5.0, 0.03]))
    assert method.gain_rule == "released"
    assert torch.equal(method.transformer.embed_mark.weight, encoder["layer3.weight"])
    assert method.generator.image_size == 64


def test_fused_projections_are_split_in_their_order(
    released: tuple[Path, dict[str, Tensor]],
) -> None:
    network, _ = build(released[1])
    q, k, v = released[1]["transformer_decoder.layers.1.0.fn.to_qkv.weight"].chunk(3)
    attention: Any = network.decoder[1]
    assert torch.equal(attention.self_attention.to_q.weight, q)
    assert torch.equal(attention.self_attention.to_kv.weight, torch.cat([k, v]))


def test_data_set_must_be_named_and_is_not_guessed(
    released: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    words = ["import", str(released[0]), "--as", "user_controllable_lt", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"--dataset ffhq \| car"):
        main(words)


def test_a_file_that_is_there_is_kept(
    released: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    words = ["import", str(released[0]), "--as", "user_controllable_lt", "--dataset", "cat"]
    words += ["--out", str(tmp_path / "out")]
    main(words)
    with pytest.raises(SystemExit, match="already exists"):
        main(words)
    main([*words, "--overwrite", "--half"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer3.bias"), r"lacks tensors: layer3\.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "has unknown tensors: extra"),
        (lambda state: state["layer1.bias"].fill_(torch.nan), "NaN or infinite"),
    ],
)
def test_what_is_not_understood_is_refused(
    released: tuple[Path, dict[str, Tensor]], change: Any, message: str
) -> None:
    change(released[1])
    with pytest.raises(CheckpointError, match=message):
        build(released[1])


def test_a_generator_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generator.pt"
    torch.save(rosinality_checkpoint(), path)
    with pytest.raises(CheckpointError, match="state_dict is not a state dict"):
        import_latent_transformer(path)


def test_units_are_those_of_the_released_code() -> None:
    assert {name: pair[0] for name, pair in SIGMAS.items()} == {
        "ffhq": 4,
        "car": 5,
        "cat": 12,
        "church": 8,
        "anime": 7,
    }
