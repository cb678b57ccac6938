"""Apps of a few lines, for what the sample app cannot show."""

from pathlib import Path

HOST_JSON = '{"version": "2.0"}'
# A file name of its own, so that nothing measures it in place of the function_app.py of this project.
ENVIRONMENT = {"PYTHON_SCRIPT_FILE_NAME": "small_app.py"}


def write_app(folder: Path, source: str, host_json: str = HOST_JSON) -> Path:
    """Write an app into a folder; `azure.functions` is imported as `func`."""
    (folder / "host.json").write_text(host_json)
    (folder / "small_app.py").write_text(f"import azure.functions as func\n{source}\n")
    return folder
