"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "networks": {"networks"},
    "losses": {"networks"},
    "adversaries": {"losses", "networks"},
    "images": set(),
    "protocol": set(),
    "weights": {"lightning_cli", "networks", "weights"},
    "interop": {"interop", "networks"},
    "priors": {"networks", "weights"},
    "encoders": {"networks", "priors", "weights"},
    "import_command": {"encoders", "import_editor", "interop", "priors"},
    "import_editor": {"editors", "import_command", "interop", "priors"},
    "estimators": {"networks", "weights"},
    "data": {"data"},
    "metrics": {"estimators", "metrics", "networks", "images", "weights"},
    "callbacks": {"callbacks", "metrics", "networks", "images", "protocol", "weights"},
    "methods": {
        "adversaries",
        "codes",
        "editors",
        "encoders",
        "estimators",
        "inversion",
        "layout",
        "losses",
        "methods",
        "networks",
        "optimizers",
        "priors",
        "weights",
    },
    "layout": {"layout", "networks"},
    "editors": {"weights"},
    "optimizers": set(),
    "inversion": {"inversion", "networks", "optimizers"},
    "editing": {"editing", "images", "inversion", "networks", "priors"},
    "edit_command": {"data", "edit_files", "weights"},
    "edit_files": {"data", "editing", "images", "layout", "methods", "priors", "weights"},
    "invert_command": {"data", "invert_files", "priors", "weights"},
    "codes": {"images", "inversion", "metrics", "networks", "priors", "weights"},
    "invert_files": {"codes", "data", "inversion", "priors"},
    "sharding": set(),
    "export": {
        "data",
        "data_cli",
        "export",
        "images",
        "methods",
        "metrics",
        "networks",
        "priors",
        "run_directory",
        "semsynth",
        "sharding",
        "weights",
    },
    "export_command": {"data", "export", "priors", "weights"},
    "draw_command": {"images", "networks", "priors", "weights"},
    "pairs_command": {"data", "pairs_files", "priors", "weights"},
    "pairs_files": {"data", "estimators", "layout", "networks", "priors", "sharding"},
    "run_directory": set(),
    "parser": set(),
    "predict_style": {"data", "images"},
    "loggers": set(),
    "sbatch": set(),
    "cli": {"lightning_cli", "sbatch", "semsynth"},
    "data_command": {"semsynth", "data_cli"},
    "data_cli": {"data", "parser"},
    "evaluate": {"callbacks", "data", "images", "metrics", "protocol"},
    "evaluate_command": {"callbacks", "data", "evaluate", "metrics", "weights"},
    "lightning_cli": {
        "callbacks",
        "cli",
        "data",
        "editors",
        "methods",
        "metrics",
        "loggers",
        "parser",
        "predict_style",
        "priors",
        "run_directory",
        "weights",
    },
    "__main__": {"cli"},
}


def rooms_imported(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "semsynth":
            modules |= {f"semsynth.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    parts = [m.split(".") for m in modules if m.split(".")[0] == "semsynth"]
    return {p[1] if len(p) > 1 else "semsynth" for p in parts} - {"__version__"}


@pytest.mark.parametrize("room", ALLOWED)
def test_room_imports_only_what_it_may(room: str) -> None:
    path = ROOT / "semsynth" / room
    files = list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert files
    for file in files:
        assert rooms_imported(file) <= ALLOWED[room], file


def test_no_method_imports_another() -> None:
    for file in (ROOT / "semsynth/methods").glob("*.py"):
        if file.name in ("__init__.py", "base.py", "prior_base.py"):
            continue
        names = {
            node.module
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module
        }
        inside = {name for name in names if name.startswith("semsynth.methods")}
        assert inside <= {"semsynth.methods.base", "semsynth.methods.prior_base"}, file
