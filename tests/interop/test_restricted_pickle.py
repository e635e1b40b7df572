import io
import os
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semsynth.interop import checkpoints, restricted_pickle
from semsynth.interop.checkpoints import CheckpointError
from semsynth.interop.restricted_pickle import RefusedError


class Trap:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def traps(marker: Path) -> dict[str, Trap]:
    code = f"open({str(marker)!r}, 'w').close()"
    return {
        f"{os.system.__module__}.system": Trap(os.system, f"touch {marker}"),
        "builtins.eval": Trap(eval, code),
        "builtins.exec": Trap(exec, code),
        "builtins.getattr": Trap(getattr, marker, "touch"),
        "pathlib.Path": Trap(Path, marker),
        "torch.serialization.load": Trap(torch.load, "file.pt"),
        "test_restricted_pickle.Unlisted": Trap(Unlisted, str(marker)),
    }


class Unlisted:
    """A class that no list allows, and that acts when it is built."""

    def __init__(self, path: str) -> None:
        Path(path).touch()


@pytest.mark.parametrize("name", traps(Path("marker")))
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickle_that_runs_code_is_refused_by_name_and_nothing_runs(
    name: str, protocol: int, tmp_path: Path
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "trap.pkl"
    trap, last = traps(marker)[name], name.split(".")[-1]
    path.write_bytes(pickle.dumps({"G_ema": None, "D": [trap]}, protocol))
    with pytest.raises(CheckpointError, match=rf"it names \S+{last}, .*nothing was executed"):
        checkpoints.read(path)
    assert not marker.exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "pathlib.Path"])
def test_torch_file_that_runs_code_is_refused_by_name_and_nothing_runs(
    name: str, legacy: bool, tmp_path: Path
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "trap.pt"
    content = {"g_ema": {"style.1.weight": torch.zeros(2, 2)}, "args": traps(marker)[name]}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    known_as = name.removeprefix("builtins.")
    with pytest.raises(CheckpointError, match=rf"it names {known_as}, .*nothing was executed"):
        checkpoints.read(path)
    assert not marker.exists()


def test_traps_would_run_in_an_ordinary_unpickler(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(traps(marker)["builtins.eval"]))
    assert marker.exists()


def test_trap_within_the_bytes_of_a_tensor_is_refused(tmp_path: Path) -> None:
    marker, inner, path = tmp_path / "ran", io.BytesIO(), tmp_path / "trap.pkl"
    torch.save(traps(marker)["builtins.eval"], inner, _use_new_zipfile_serialization=False)
    load_from_bytes: Any = torch.storage._load_from_bytes
    path.write_bytes(pickle.dumps({"G_ema": Trap(load_from_bytes, inner.getvalue())}))
    with pytest.raises(CheckpointError, match=r"it names eval, .*nothing was executed"):
        checkpoints.read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch_utils.persistence\n_reconstruct_persistent_obj.__globals__",
        "collections\nOrderedDict.fromkeys",
        "semsynth.interop.restricted_pickle\nALLOWED",
        "torch\nload",
    ],
)
def test_only_exact_names_of_the_list_are_found(name: str) -> None:
    with pytest.raises(RefusedError, match="which is not allowed"):
        restricted_pickle.load(io.BytesIO(f"c{name}\n.".encode()))


def test_allowed_functions_cannot_be_changed_by_a_pickle() -> None:
    # name a function, give it a state: protocol 2 of "function.__setstate__({'_function': ...})"
    changed = b"ctorch._utils\n_rebuild_parameter\n}b."
    with pytest.raises(pickle.UnpicklingError, match="sets the state of a function"):
        restricted_pickle.load(io.BytesIO(changed))


def test_allowed_classes_cannot_be_changed_by_a_pickle() -> None:
    for name in ("collections\nOrderedDict", "dnnlib.util\nEasyDict", "numpy\nndarray"):
        state = pickle.dumps((None, {"attribute": 1}), 0)[:-1]  # sets attributes of what it is for
        with pytest.raises((TypeError, AttributeError)):
            restricted_pickle.load(io.BytesIO(b"c" + name.encode() + b"\n" + state + b"b."))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (5,), (1,)), (1, (4,), (1,)), (0, (2, 2), (3, 1)), (0, (4,), (-1,)), (-1, (1,), (1,))],
)
def test_tensor_outside_its_storage_is_refused(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        restricted_pickle.rebuild_tensor(torch.zeros(4), offset, size, stride)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_containers_and_views_are_read_as_they_were_written(protocol: int) -> None:
    base = torch.arange(12.0).view(3, 4)
    content = {
        "transposed": base.t()[1:],
        "parameter": torch.nn.Parameter(base.double()),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2),
        "half": base.half(),
        "order": OrderedDict(a=1),
        "set": {1, 2},
        "bytes": b"\xff\x00",
    }
    read = restricted_pickle.load(io.BytesIO(pickle.dumps(content, protocol)))
    assert read.keys() == content.keys()
    for key, value in content.items():
        if isinstance(value, torch.Tensor):
            assert read[key].dtype == value.dtype
            assert torch.equal(read[key], value)
        else:
            assert read[key] == value


def test_numpy_values_are_passed_over() -> None:
    content = {"array": np.arange(3), "scalar": np.float32(1), "after": "kept"}
    read = restricted_pickle.load(io.BytesIO(pickle.dumps(content)))
    assert isinstance(read["array"], restricted_pickle.Inert)
    assert read["after"] == "kept"


def test_allowed_names_are_few_and_none_of_them_is_of_os_or_builtins_but_set() -> None:
    rooms = {name.split(".")[0] for name in restricted_pickle.ALLOWED}
    assert rooms <= {"torch_utils", "torch", "_codecs", "collections", "dnnlib", "numpy"} | {
        "builtins",
        "__builtin__",
    }
    assert [n for n in restricted_pickle.ALLOWED if n.startswith("builtins.")] == ["builtins.set"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"{}", "neither a file of torch.save nor a pickle"),
        (b"PK\x03\x04 cut short", "cannot be read"),
        (b"\x80\x04\x95 cut short", "cannot be read"),
        (pickle.dumps([1]), "a pickle without NVIDIA's G_ema"),
        (pickle.dumps({"G_ema": 1}), "a pickle without NVIDIA's G_ema"),
        (b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.", r"TensorFlow pickle.*legacy\.py"),
    ],
)
def test_damaged_and_foreign_files_are_refused_with_the_reason(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"file\.bin.*{reason}"):
        checkpoints.read(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nothing\.pkl"):
        checkpoints.read(tmp_path / "nothing.pkl")


def test_every_function_that_a_real_tensor_pickle_names_is_on_the_list() -> None:
    content = pickle.dumps(torch.nn.Parameter(torch.zeros(2)), 2)
    named = {
        str(arg).replace(" ", ".")
        for op, arg, _ in pickletools.genops(content)
        if op.name == "GLOBAL"
    }
    assert named <= restricted_pickle.ALLOWED.keys()
