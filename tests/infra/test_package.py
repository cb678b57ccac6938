"""The package that is deployed: built once, for real, from the pinned requirements."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import ModuleType

import pytest

from tests.infra.conftest import HOOKS, ROOT

type Hook = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hook builds."""
    target = tmp_path_factory.mktemp("package") / "build"
    build = f"import pathlib, prepackage, sys; sys.exit(prepackage.main(target=pathlib.Path({str(target)!r})))"
    subprocess.run([sys.executable, "-c", build], cwd=HOOKS, check=True, capture_output=True)
    return target


def imports(package: Path, statement: str) -> str:
    """Run one statement with nothing but the package on the import path, as the platform lays it out."""
    paths = [str(package), str(package / ".python_packages/lib/site-packages")]
    code = f"import sys; sys.path[:0] = {paths!r}\n{statement}"
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def test_it_holds_what_runs_and_nothing_else(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        ".funcignore",
        ".python_packages",
        "__pycache__",
        "entra_users",
        "function_app.py",
        "host.json",
    ]
    sources = {path.relative_to(ROOT) for path in (ROOT / "entra_users").rglob("*.py")}
    assert {path.relative_to(package) for path in (package / "entra_users").rglob("*.py")} == sources


def test_the_app_is_imported_from_its_bytecode_not_from_its_source(package: Path, tmp_path: Path) -> None:
    shutil.copytree(package / "entra_users", tmp_path / "entra_users")
    with (tmp_path / "entra_users/errors.py").open("a", encoding="utf-8") as source:
        source.write("raise SystemExit('read from the source')\n")
    assert imports(tmp_path, "import entra_users.errors as e; print(e.StoreError.__name__)") == "StoreError"


def test_its_bytecode_names_no_folder_of_the_machine_it_was_built_on(package: Path) -> None:
    build = str(package).encode()
    assert [path for path in package.rglob("*.pyc") if build in path.read_bytes()] == []


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the package's compiled parts run on Linux x86-64"
)
def test_everything_that_the_app_imports_is_in_it(package: Path) -> None:
    modules = (
        "azure.functions, azure.identity, azure.keyvault.secrets, azure.monitor.opentelemetry, azure.storage.blob,"
        " cryptography.x509, isal.igzip"
    )
    assert imports(package, f"import {modules}, msal, msgspec, requests; print('imported')") == "imported"


def test_every_source_has_bytecode_that_is_used_whatever_its_time(package: Path) -> None:
    sources = list(package.rglob("*.py"))
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    missing = [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()]
    assert missing == []
    # https://docs.python.org/3/reference/import.html#pyc-invalidation: bit 0 hash-based, bit 1 not checked against it.
    heads = {path.read_bytes()[:8] for path in package.rglob("*.pyc")}
    assert heads == {MAGIC_NUMBER + (0b01).to_bytes(4, "little")}


def test_azd_finds_a_funcignore_in_it_that_keeps_the_bytecode(package: Path) -> None:
    lines = (package / ".funcignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_it_is_small_enough_to_start_quickly(package: Path) -> None:
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) <= 60_000_000


def test_a_file_with_another_hash_than_the_pinned_one_is_not_packaged(
    hook: Hook, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entra_users").mkdir()
    (tmp_path / "function_app.py").touch()
    (tmp_path / "host.json").touch()
    (tmp_path / "requirements.txt").write_text(f"idna==3.20 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    assert hook("prepackage").main(tmp_path, tmp_path / "build") == 1
    assert "No package was built: " in capfd.readouterr().err


def test_a_missing_source_is_named(hook: Hook, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hook("prepackage").main(tmp_path, tmp_path / "build") == 1
    assert "function_app.py" in capsys.readouterr().err


def test_an_older_build_leaves_nothing_behind(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/stale.py").touch()
    hook("prepackage").main(tmp_path, tmp_path / "build")
    assert not (tmp_path / "build/stale.py").exists()


def test_the_python_found_is_the_one_that_the_platform_runs(hook: Hook) -> None:
    python = hook("prepackage").find_python(ROOT)
    asked = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("Python 3.13.")


def test_func_publish_sends_what_runs_and_nothing_else() -> None:
    def files(*options: str) -> set[str]:
        listed = subprocess.run(["git", "ls-files", *options], cwd=ROOT, capture_output=True, text=True, check=True)
        return set(listed.stdout.splitlines())

    sent = files("--cached") - files("--cached", "--ignored", "--exclude-from=.funcignore")
    assert {name.split("/")[0] for name in sent} == {"entra_users", "function_app.py", "host.json", "requirements.txt"}
