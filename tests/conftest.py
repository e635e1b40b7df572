import contextlib
import faulthandler
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from _pytest.faulthandler import fault_handler_stderr_fd_key
from safetensors.torch import save_file
from torch import Tensor

from semsynth import weights
from semsynth.networks.unet import UNet

PROCESS_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A crash names its test: Lightning, which restores signal handlers, would drop this one."""
    faulthandler.disable()  # enabling what is enabled does nothing
    faulthandler.enable(item.config.stash[fault_handler_stderr_fd_key])


@pytest.fixture(autouse=True, scope="session")
def semsynth_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The user's cache stays as it is."""
    os.environ["SEMSYNTH_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def process_variables() -> Iterator[None]:
    """What Lightning tells the processes of a training ends with the test.

    The port is one that nobody is given who asks for any port.
    """
    kept = {name: os.environ.pop(name, None) for name in PROCESS_VARIABLES}
    os.environ["MASTER_PORT"] = str(free_port())
    yield
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def free_port() -> int:
    for port in random.SystemRandom().sample(range(20000, 30000), 100):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("No port is free between 20000 and 30000.")


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder, still empty, in which weights that cannot ship are looked for."""
    for variable in ("SEMSYNTH_WEIGHTS", "SEMSYNTH_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


@pytest.fixture
def toy_segmenter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random toy segmenters in place of the shipped ones, so that tests depend on code alone."""
    network = {"num_classes": 8, "channels": 4, "depth": 3}
    torch.manual_seed(0)
    for name in ("toy_street", "toy_portrait"):
        path = tmp_path / f"{name}_segmenter.safetensors"
        save_file(UNet(**network).state_dict(), path)
        path.with_suffix(".json").write_text(json.dumps({"network": network}))
    monkeypatch.setattr(weights, "ASSETS", tmp_path)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Computes in float64 what is computed in float32, so that finite differences are exact."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
