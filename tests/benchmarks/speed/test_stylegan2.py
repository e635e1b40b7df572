import pytest
import torch

from benchmarks.speed.stylegan2 import FORMS, SIZES, Pair, build, check, in_form


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"ours"}))
def test_forms_that_are_timed_make_the_same_images_and_steps(form: str) -> None:
    size = SIZES["tiny"]
    networks = build(size, "cpu")
    ours, other = (Pair(networks, name, "eager") for name in ("ours", form))
    modules = [m for network in networks for m in in_form(network, form).modules()]
    assert set(FORMS[form].values()) <= {type(m) for m in modules}
    z, real = torch.randn(4, size.latent_dim), torch.rand(4, 3, 16, 16)
    check({"ours": lambda: ours.forward(z), form: lambda: other.forward(z)}, 1e-5)
    check({"ours": lambda: ours.step(z, real), form: lambda: other.step(z, real)}, 1e-3)


def test_forms_that_differ_are_refused() -> None:
    ones = [torch.ones(3)]
    with pytest.raises(AssertionError, match="other differs from ours by 1 of its size"):
        check({"ours": lambda: ones, "other": lambda: [torch.zeros(3)]}, 0.1)
