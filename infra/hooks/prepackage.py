"""Build the package that is deployed: the app and its pinned requirements, as bytecode for Linux, in build/.

Built here and not by the platform, so that what runs is what was tested: every file by the hash in requirements.txt.
https://learn.microsoft.com/en-us/azure/azure-functions/python-build-options
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = ("function_app.py", "host.json", "entra_users")
PYTHON = (3, 13)
# What the platform has: glibc 2.36 (Debian 12). Not every package has a wheel for the older of the two.
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
WWWROOT = "/home/site/wwwroot"


def main(root: Path = ROOT, target: Path = ROOT / "build") -> int:
    """Build anew; prints what came out."""
    python = find_python(root)
    if python is None:
        wanted = ".".join(map(str, PYTHON))
        print(
            f"Bytecode for Python {wanted} needs Python {wanted}: run `make setup`, or put it on the PATH.",
            file=sys.stderr,
        )
        return 1
    try:
        build(root, target, python)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"No package was built: {error}", file=sys.stderr)
        return 1
    files = [file for file in target.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{target}: {len(files)} files, {size / 1e6:.1f} MB")
    return 0


def find_python(root: Path) -> str | None:
    """A Python of the version that the platform runs: bytecode of another one is not read there."""
    candidates = (sys.executable, str(root / ".venv/bin/python"), str(root / ".venv/Scripts/python.exe"), "python3.13")
    ask = f"import sys; sys.exit(sys.version_info[:2] != {PYTHON})"
    for candidate in candidates:
        program = shutil.which(candidate)
        if program and subprocess.run([program, "-c", ask], check=False).returncode == 0:
            return program
    return None


def build(root: Path, target: Path, python: str) -> None:
    """Fill the target folder.

    Raises:
        OSError: something to copy is missing, or the target cannot be written.
        subprocess.CalledProcessError: pip did not find every wheel by its hash, or something does not compile.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in RUNS:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)
    # azd reads .funcignore in this folder. Without one it would leave out every __pycache__.
    (target / ".funcignore").write_text("# nothing: all of this folder is deployed\n", encoding="utf-8")
    packages = target / ".python_packages/lib/site-packages"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    wheels = [
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        ".".join(map(str, PYTHON)),
        *platforms,
    ]
    pinned = ["--require-hashes", "--requirement", str(root / "requirements.txt")]
    subprocess.run([*pip, *wheels, *pinned, "--target", str(packages)], check=True)
    # Console scripts: nothing starts them there.
    shutil.rmtree(packages / "bin", ignore_errors=True)
    # unchecked-hash: a zip does not keep times exactly, and bytecode whose source seems newer would be thrown away.
    # Only the packages' own mistakes can fail this, so it is not quiet about them.
    paths = ["-s", str(target), "-p", WWWROOT]
    compileall = [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", *paths]
    subprocess.run([*compileall, str(target)], check=True)


if __name__ == "__main__":
    sys.exit(main())
