"""Forms that are timed against each other give the same."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed import __main__ as speed
from benchmarks.speed import clvae, editing, export, fewshot, stylegan2
from benchmarks.speed.compare import Comparison, check, measure
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

TINY = {"z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_base": 256, "channel_max": 8}
TRANSFORMER = {"dim": 16, "depth": 1, "num_heads": 2, "head_dim": 8, "mlp_dim": 16}


def test_forms_that_differ_are_refused() -> None:
    ones = [torch.ones(3)]
    for other in (torch.zeros(3), torch.full((3,), torch.nan)):
        with pytest.raises(AssertionError, match="other differs from ours by"):
            check({"ours": lambda: ones, "other": lambda x=other: [x]}, 0.1)  # type: ignore[misc]


def test_a_slower_form_has_the_larger_time_and_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(8, 8), torch.randn(512, 512)
    forms = {"ours": lambda: [a @ a], "slow": lambda: [b @ b]}
    times = measure(forms, blocks=2)
    assert times["slow"] > 2 * times["ours"] > 0
    forms["slow"] = lambda: [(b @ b).sum() * 0 + a @ a]
    monkeypatch.setitem(speed.CASES, "mine", lambda *_: iter([Comparison("product", forms)]))
    table = speed.measured(["mine"], "cpu", ["eager"], blocks=1)
    cells = [list(column.cells) for column in table.columns]
    assert cells[:2] == [["mine: product"], ["slow"]]
    assert float(str(cells[4][0])) > 2


def test_plain_clvae_gives_the_same_images_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clvae, "NUM_CLASSES", 20)
    torch.manual_seed(0)
    (comparison,) = clvae.steps("cpu", "eager", channels=8)
    check(comparison.forms, 2e-3)
    assert [result.dim() for result in comparison.forms["ours"]()] == [4, 4, 2]


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_loops_give_the_labels_of_the_labellers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fewshot, "CHANNELS", 32)
    torch.manual_seed(0)
    labeller, features = fewshot.fitted(kind, "cpu")
    loops: Any = getattr(fewshot, f"{kind}_by_loops")
    labels = labeller(features)
    assert torch.equal(labels.float(), loops(labeller, features)[0])
    assert labels.unique().numel() > 10


def test_fewshot_steps_have_the_same_loss_and_gradients() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(64, 16, 16, channel_base=512, channel_max=8)
    small: dict[str, Any] = {"w_dim": 16, "units": (1, 1, 1, 1), "widths": (4, 4, 4, 4)}
    forms, encoder = fewshot.build_steps(generator, "eager", "cpu", **small)
    gradients = []
    for step in forms.values():
        step()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    for ours, other in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-5, rtol=1e-4)
    check(forms, 1e-4)


@pytest.mark.parametrize("form", sorted(stylegan2.FORMS.keys() - {"ours"}))
def test_forms_of_stylegan2_make_the_same_images_and_steps(form: str) -> None:
    method = stylegan2.build(16, "cpu", **TINY)
    ours, other = (stylegan2.Pair(method, name, "eager") for name in ("ours", form))
    kinds = {type(m) for m in stylegan2.in_form(method, form).modules()}
    assert set(stylegan2.FORMS[form].values()) <= kinds
    z, real = torch.randn(4, 8), torch.rand(4, 3, 16, 16)
    check({"ours": lambda: ours.forward(z), form: lambda: other.forward(z)}, 1e-5)
    check({"ours": lambda: ours.step(z, real), form: lambda: other.step(z, real)}, 1e-3)


def test_both_orders_of_work_learn_and_edit_alike() -> None:
    of_method = TRANSFORMER | {"num_tokens": 3, "feature_resolution": 16}
    forms = editing.build_forms(({"image_size": 32} | TINY, of_method, 2), "cpu", "eager")
    transformer = forms["released"].method.transformer
    assert any(isinstance(m, editing.WrittenOutAttention) for m in transformer.modules())
    before = {k: v.clone() for k, v in forms["released"].method.state_dict().items()}
    for _ in range(2):
        check({name: form.step for name, form in forms.items()}, 1e-4)
    points, motions = torch.tensor([[[3.0, 20.0], [31.0, 0.0]]]), torch.randn(1, 2, 3)
    check({name: partial(form.edit, points, motions) for name, form in forms.items()}, 1e-4)
    after = forms["released"].method.state_dict()
    changed = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed == {"transformer"}


def test_one_at_a_time_gives_the_labels_of_the_export(tmp_path: Path) -> None:
    source = export.build_source("cpu")
    export.export(source, 6, tmp_path / "ours")
    export.one_by_one(source, 6, tmp_path / "loop")
    assert export.share_of_equal_pixels(tmp_path / "ours/train", tmp_path / "loop") > 0.999


def test_command_prints_a_line_for_each_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(speed.CASES, "export", partial(export.exports, num=4))
    speed.main(["export", "--device", "cpu", "--blocks", "1"])
    assert "one at a time" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        speed.main(["expert"])
    assert "invalid choice: 'expert'" in capsys.readouterr().err
