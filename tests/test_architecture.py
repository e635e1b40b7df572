"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYWHERE = {"__version__", "errors"}  # errors imports no room
ALLOWED = {
    "errors": set(),
    "arguments": set(),
    "devices": set(),
    "networks": {"networks"},
    "losses": {"networks"},
    "adversaries": {"losses", "networks"},
    "images": set(),
    "protocol": set(),
    "weights": {"lightning_cli", "networks", "weights"},
    "interop": {"interop", "networks"},
    "priors": {"networks", "weights"},
    "encoders": {"networks", "priors", "weights"},
    "import_command": {"arguments", "encoders", "import_editor", "interop", "priors"},
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
        "fewshot_checks",
        "inversion",
        "layout",
        "losses",
        "methods",
        "networks",
        "optimizers",
        "priors",
        "weights",
    },
    "fewshot_checks": {"codes", "networks", "priors"},
    "layout": {"layout", "networks"},
    "editors": {"weights"},
    "optimizers": set(),
    "inversion": {"inversion", "networks", "optimizers"},
    "editing": {"editing", "images", "inversion", "networks", "priors"},
    "edit_command": {"edit_files"},
    "edit_files": {
        "data",
        "devices",
        "editing",
        "images",
        "layout",
        "methods",
        "preflight",
        "priors",
        "weights",
    },
    "invert_command": {"arguments", "invert_files"},
    "codes": {"images", "inversion", "metrics", "networks", "priors", "weights"},
    "invert_files": {"codes", "data", "devices", "inversion", "priors"},
    "draw_command": {"arguments", "images", "networks", "priors"},
    "pairs_command": {"arguments", "pairs_files"},
    "pairs_files": {"data", "devices", "estimators", "layout", "networks", "priors", "sharding"},
    "trained": {"methods", "priors", "weights"},
    "annotate": {"loggers", "methods"},
    "studio": {
        "annotate",
        "data",
        "edit_files",
        "editing",
        "images",
        "methods",
        "networks",
        "priors",
        "run_directory",
        "studio",
        "trained",
        "weights",
    },
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
    "run_directory": set(),
    "checkpoint_io": set(),
    "faults": set(),
    "parser": set(),
    "predict_style": {"data", "images"},
    "loggers": set(),
    "sbatch": set(),
    "cli": {"lightning_cli", "sbatch", "semsynth"},
    "completion_command": {"cli"},
    "doctor": {"weights"},
    "doctor_command": {"doctor"},
    "preflight": {"parser"},
    "data_command": {"semsynth", "data_cli"},
    "data_cli": {"data", "parser"},
    "evaluate": {"callbacks", "data", "images", "metrics", "protocol"},
    "evaluate_command": {"arguments", "callbacks", "devices", "evaluate", "metrics", "weights"},
    "lightning_cli": {
        "callbacks",
        "checkpoint_io",
        "cli",
        "data",
        "faults",
        "methods",
        "metrics",
        "loggers",
        "parser",
        "predict_style",
        "preflight",
        "run_directory",
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
    return {p[1] if len(p) > 1 else "semsynth" for p in parts} - EVERYWHERE


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
