from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from semsynth.data.errors import DataError
from semsynth.data.latents import read_codes


def test_codes_are_read_from_both_formats(tmp_path: Path) -> None:
    codes = torch.randn(1, 16, 512)
    torch.save({"codes": codes}, tmp_path / "a.pt")
    save_file({"codes": codes}, tmp_path / "a.safetensors")
    assert torch.equal(read_codes(tmp_path / "a.pt"), codes[0])
    assert torch.equal(read_codes(tmp_path / "a.safetensors"), codes[0])


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit",)


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"codes": Harmful()}, tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"a\.pt is damaged or contains non-tensors"):
        read_codes(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ({"latent": torch.zeros(1, 2, 3)}, "no such tensor"),
        ({"codes": torch.zeros(4, 2, 3)}, r"\(4"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, stored: dict[str, object], found: str) -> None:
    torch.save(stored, tmp_path / "a.pt")
    with pytest.raises(DataError, match=rf"must contain 'codes' \(1, num_ws, w_dim\), got {found}"):
        read_codes(tmp_path / "a.pt")
