import hashlib
from pathlib import Path

import torch
from torch import nn

from semsynth.metrics.frozen import Frozen, exact_float32, file_protocol


def test_exact_float32_is_without_gradients_and_tf32_and_puts_the_switches_back() -> None:
    convolution, product = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = convolution.fp32_precision, product.fp32_precision
    with torch.autocast("cpu", torch.bfloat16), exact_float32(torch.device("cpu")):
        assert convolution.fp32_precision == product.fp32_precision == "ieee"
        result = nn.Linear(2, 2)(torch.ones(1, 2))
    assert not result.requires_grad
    assert result.dtype == torch.float32
    assert (convolution.fp32_precision, product.fp32_precision) == before


def test_frozen_network_stays_in_eval_mode() -> None:
    network = Frozen()
    network.inner = nn.Dropout()
    nn.Sequential(network).train()
    assert not network.inner.training


def test_file_protocol_follows_the_contents_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    for contents in (b"first", b"second"):
        file.write_bytes(contents)
        expected = {"file": "weights.pth", "sha256": hashlib.sha256(contents).hexdigest()}
        assert file_protocol(file) == expected
