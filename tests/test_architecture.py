"""Who may import whom: one order of rooms, and three bans."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "semsynth"
ORDER = [  # a room imports only rooms that stand below it
    *("cli", "studio", "export", "callbacks", "methods", "editing", "inversion"),
    *("metrics", "losses", "interop", "data", "weights", "networks"),
]
ROOT_MODULES = {
    "__init__.py",
    "__main__.py",
    "default.yaml",
    "py.typed",
    "errors.py",
    "files.py",
    "images.py",
}
BANS = [
    ("methods", {"data", "metrics", "callbacks"}),  # they meet in the batch and in cli/train
    ("data", {"networks"}),
    ("data", {"weights"}),
]


def rooms_imported(file: Path) -> set[str]:
    """Rooms and modules of the root that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in modules if name.startswith("semsynth.")}


@pytest.mark.parametrize("room", ORDER)
def test_room_imports_only_rooms_below_it(room: str) -> None:
    above = set(ORDER[: ORDER.index(room)])
    banned = above.union(*(rooms for importer, rooms in BANS if importer == room))
    for file in (ROOT / room).rglob("*.py"):
        assert not rooms_imported(file) & banned, file


def test_modules_of_the_root_import_no_room() -> None:
    for file in ROOT.glob("*.py"):
        if file.name != "__main__.py":
            assert not rooms_imported(file) & set(ORDER), file


def test_house_has_these_rooms_and_no_module_beside_them() -> None:
    entries = {path.name for path in ROOT.iterdir() if path.name != "__pycache__"}
    assert entries <= {*ORDER, *ROOT_MODULES, "assets"}
