"""The host around the sample app."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from simulator.functions import FunctionsHost

APP = Path(__file__).with_name("app")


SETTINGS = {
    "IsEncrypted": False,
    "Values": {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        # A name of its own, so that nothing measures it in place of the function_app.py of this project.
        "PYTHON_SCRIPT_FILE_NAME": "sample_app.py",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "NIGHTLY": "0 0 2 * * *",
        "WORK": "work",
        "SEEN": "seen",
        "FROM_FILE": "the file",
        "FROM_BOTH": "the file",
    },
}


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample app with settings of its own, far from the packages of this project."""
    folder = tmp_path_factory.mktemp("functions") / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "local.settings.json").write_text(json.dumps(SETTINGS))
    return folder


@pytest.fixture(scope="session")
def host(app: Path) -> Iterator[FunctionsHost]:
    """One worker, shared by the tests that leave it as it was."""
    with FunctionsHost(app, {"FROM_BOTH": "the environment"}) as running:
        yield running


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    """A client that takes no settings from this machine, such as a proxy."""
    with requests.Session() as client:
        client.trust_env = False
        yield client
