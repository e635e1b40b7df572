from functools import partial

import torch

from benchmarks.speed.editing import SIZES, Ours, Released, WrittenOutAttention, build
from benchmarks.speed.stylegan2 import check


def test_both_orders_of_work_learn_and_edit_alike() -> None:
    size = SIZES["tiny"]
    method = build(size, "cpu")
    seed = torch.arange(size.batch_size)
    forms = {}
    for name, kind in (("ours", Ours), ("released", Released)):
        torch.manual_seed(1)
        forms[name] = kind(method, seed, "eager")
    modules = list(forms["released"].method.transformer.modules())
    assert any(isinstance(module, WrittenOutAttention) for module in modules)
    for _ in range(2):
        check({name: form.step for name, form in forms.items()}, 1e-4)
    points, motions = torch.tensor([[[3.0, 20.0], [31.0, 0.0]]]), torch.randn(1, 2, 3)
    check({name: partial(form.edit, points, motions) for name, form in forms.items()}, 1e-4)


def test_a_step_moves_the_transformer_and_not_the_generator() -> None:
    form = Released(build(SIZES["tiny"], "cpu"), torch.arange(2), "eager")
    before = {k: v.clone() for k, v in form.method.state_dict().items()}
    form.step()
    changed = {
        k.split(".")[0]
        for k, v in form.method.state_dict().items()
        if not torch.equal(v, before[k])
    }
    assert changed == {"transformer"}
