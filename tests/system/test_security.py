"""Nothing that a file carries is run, and nothing that a user types reaches a shell."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from semsynth.data.decode import UnreadableError, read_image

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("semsynth/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
FORBIDDEN = {  # calls that run or unpack what they are given
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "torch.hub.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "shutil.unpack_archive",
}
MODULES = {"dill", "joblib", "marshal", "shelve", "cloudpickle"}
UNPICKLERS = {"semsynth/interop/restricted_pickle.py", "semsynth/weights/conversion.py"}


def dangers(source: str) -> Iterator[str]:
    """What is dangerous in a module, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {what}" for what in dangers_of_call(node))
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (f"{node.lineno}: {n}" for n in names if n.split(".")[0] in MODULES)  # type: ignore[attr-defined]


def dangers_of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    flags = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if name in FORBIDDEN or name.endswith((".extract", ".extractall")):
        yield name
    loads = name == "torch.load" or name.endswith(".load_from_checkpoint")
    if loads and flags.get("weights_only") != "True":
        yield f"{name} without weights_only=True"
    for flag in ("shell", "allow_pickle", "trust_remote_code"):
        if flags.get(flag, "False") != "False":
            yield f"{name}({flag}={flags[flag]})"
    if name == "Image.open" and "formats" not in flags:
        yield "Image.open without formats"


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_runs_nothing_that_it_reads(file: Path) -> None:
    assert list(dangers(file.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "CLVAE.load_from_checkpoint(f)",
        "pickle.load(f)",
        "yaml.load(f)",
        "subprocess.run(c, shell=True)",
        "np.load(f, allow_pickle=True)",
        "eval(text)",
        "import dill",
        "ZipFile(f).extractall(place)",
        "Image.open(f)",
    ],
)
def test_danger_is_found(source: str) -> None:
    assert len(list(dangers(source))) == 1


def test_only_the_restricted_reader_unpickles() -> None:
    found = {
        str(file.relative_to(ROOT))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef | ast.Call) and "Unpickler" in first_words(node)
    }
    assert found == UNPICKLERS


def first_words(node: ast.ClassDef | ast.Call) -> str:
    """What a class stands on, or what is called."""
    parts = node.bases if isinstance(node, ast.ClassDef) else [node.func]
    return " ".join(map(ast.unparse, parts)).replace("UnpicklingError", "")


def test_other_formats_are_not_decoded(tmp_path: Path) -> None:
    """An EPS file, which Pillow would give to Ghostscript, whatever it is called."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(UnreadableError, match="not an image"):
        read_image(tmp_path / "a.png")


def test_image_of_too_many_pixels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(UnreadableError, match="megapixels"):
        read_image(tmp_path / "a.png")


def test_the_limit_of_pixels_is_left_alone() -> None:
    assert not [file for file in FILES if "MAX_IMAGE_PIXELS =" in file.read_text()]
