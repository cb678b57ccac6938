"""Who may import what: one outside library per module, and nothing heavy at the start of the app."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import Simulator
from tests.product.conftest import ROOT, program_environment

# Roots as they are imported; azure's are told apart, since it is a namespace.
LIBRARIES = {
    "azure.functions": {"function_app"},
    "azure.identity": {"identity"},
    "azure.keyvault": {"vault"},
    "azure.monitor": {"insights"},
    "azure.storage": {"blob_store"},
    "cryptography": {"certificates"},
    "msal": {"tokens"},
    "opentelemetry": {"insights"},
    "requests": {"tokens", "transport"},
    "urllib3": {"transport"},
}
HEAVY = {*LIBRARIES, "azure.core", "isal"} - {"azure.functions"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {node.module or "", *(f"{node.module}.{each.name}" for each in node.names)}
    return names


def files(folder: str) -> list[Path]:
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts]


def importers(library: str) -> set[str]:
    """The modules of the app that import a library."""
    return {
        path.stem
        for path in [ROOT / "function_app.py", *files("entra_users")]
        if any(name == library or name.startswith(f"{library}.") for name in imported(path))
    }


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_by_its_own_module_alone(library: str) -> None:
    assert importers(library) == LIBRARIES[library]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_linter_refuses_a_library_elsewhere(library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", "entra_users/query.py", "-"],
        input=f"import {library}\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "TID251" in done.stdout) == (1, True)


@pytest.mark.parametrize(("folder", "never"), [("entra_users", "simulator"), ("simulator", "entra_users")])
def test_the_app_and_the_simulator_know_nothing_of_each_other(folder: str, never: str) -> None:
    assert [path.name for path in files(folder) if never in {name.partition(".")[0] for name in imported(path)}] == []


def test_the_modules_at_the_bottom_import_none_above_them() -> None:
    bottom = {"errors": set[str](), "retry": set[str](), "clouds": set[str](), "properties": set[str]()}
    found = {
        name: {each for each in imported(ROOT / f"entra_users/{name}.py") if each.startswith("entra_users")}
        for name in bottom
    }
    assert found == bottom


@pytest.mark.parametrize("module", ["function_app", "entra_users.settings"])
def test_the_start_of_the_app_imports_nothing_heavy(azure: Simulator, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"],
        env=program_environment(azure) | azure.app_settings("secret"),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    modules = json.loads(done.stdout)
    assert [name for name in modules if name in HEAVY or name.startswith(tuple(f"{each}." for each in HEAVY))] == []
