"""Settings, host.json and what the app finds around it.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-develop-local#local-settings-file
"""

import json
from pathlib import Path

import pytest
import requests

from simulator.functions import FunctionsHost, StartError
from tests.functions_host.small_app import ENVIRONMENT, write_app


def ask(host: FunctionsHost, session: requests.Session, path: str) -> str:
    response = session.get(f"{host.url}/api/{path}", headers={"x-functions-key": host.keys.default})
    assert response.status_code == 200, path
    return response.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FROM_FILE", "the file"),
        ("FROM_BOTH", "the environment"),
        ("FROM_NEITHER", "(not set)"),
        ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
        ("FUNCTIONS_WORKER_RUNTIME", "python"),
    ],
)
def test_the_values_of_the_file_are_in_the_environment_which_wins(
    host: FunctionsHost, session: requests.Session, name: str, value: str
) -> None:
    assert ask(host, session, f"setting/{name}") == value


def test_the_app_comes_first_on_the_path_and_is_alone(
    host: FunctionsHost, session: requests.Session, app: Path
) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-reference-python#import-behavior"""
    found = json.loads(ask(host, session, "imports"))
    project = str(Path(__file__).parents[2])
    assert (found["path"][0], found["cwd"], found["simulator"]) == (str(app), str(app), False)
    assert not [path for path in found["path"] if path == project or path.startswith(f"{project}/simulator")]


def test_packages_deployed_with_the_app_are_found(tmp_path: Path, session: requests.Session) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-reference-python#package-management"""
    packages = tmp_path / ".python_packages/lib/site-packages"
    packages.mkdir(parents=True)
    (packages / "deployed.py").write_text("NAME = 'deployed'")
    source = (
        "import deployed\n"
        "app = func.FunctionApp()\n"
        "@app.route('name', auth_level=func.AuthLevel.ANONYMOUS)\n"
        "def name(req: func.HttpRequest) -> str:\n"
        "    return deployed.NAME\n"
    )
    write_app(tmp_path, source, '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}')
    with FunctionsHost(tmp_path, ENVIRONMENT) as host:
        assert session.get(f"{host.url}/name").text == "deployed"


def test_the_functions_are_listed_with_their_triggers(host: FunctionsHost) -> None:
    """By name, which is also the order in which their routes are tried."""
    names = [function.name for function in host.functions]
    assert names == sorted(names)
    by_name = {function.name: function for function in host.functions}
    echo, nightly, work = by_name["echo"], by_name["nightly"], by_name["work"]
    assert (echo.trigger, echo.route and echo.route.text) == ("httpTrigger", "api/echo/{name}")
    assert (echo.methods, echo.auth_level) == (("GET", "POST", "HEAD"), "function")
    assert (nightly.trigger, nightly.schedule and nightly.schedule.text) == ("timerTrigger", "0 0 2 * * *")
    assert (work.trigger, work.queue, work.outputs) == ("queueTrigger", "work", {"seen": "seen"})


BLOB = """
app = func.FunctionApp()
@app.blob_trigger(arg_name='blob', path='a/b', connection='C')
def stored(blob: func.InputStream) -> None: ...
"""


TIMER = """
app = func.FunctionApp()
@app.timer_trigger(arg_name='timer', schedule='{schedule}')
def tick(timer: func.TimerRequest) -> None: ...
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("raise ValueError('GRAPH_TENANT_ID is missing')", "ValueError: GRAPH_TENANT_ID is missing"),
        ("raise SystemExit('GRAPH_TENANT_ID is missing')", "GRAPH_TENANT_ID is missing"),
        ("", "ValueError: Could not find top level function app instances in small_app.py."),
        ("app = func.FunctionApp()", "No functions were found: is there a function_app.py with one?"),
        (
            TIMER.format(schedule="%UNKNOWN%"),
            "The function 'tick' needs the setting UNKNOWN: '%UNKNOWN%' does not resolve to a value.",
        ),
        (TIMER.format(schedule="every day"), "'every day' is not an NCRONTAB schedule of six fields."),
        (
            BLOB,
            "The function 'stored' has a trigger of type blobTrigger, which is not simulated.",
        ),
    ],
)
def test_an_app_that_cannot_start_says_why(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(StartError) as raised, FunctionsHost(write_app(tmp_path, source), ENVIRONMENT):
        pass
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("host_json", "message"),
    [
        ("{", "host.json is not JSON"),
        ("[]", "host.json is not a JSON object"),
        ("{}", 'host.json does not say "version": "2.0"'),
        ('{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}', "may be 1 to 32"),
        (
            '{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": 30}}}',
            "is not a time span",
        ),
        ('{"version": "2.0", "extensions": {"queues": {"messageEncoding": "none"}}}', "messageEncoding"),
    ],
)
def test_a_malformed_host_json_is_named(tmp_path: Path, host_json: str, message: str) -> None:
    """https://learn.microsoft.com/en-us/azure/azure-functions/functions-host-json"""
    with (
        pytest.raises(StartError, match=message.replace("{", "\\{")),
        FunctionsHost(write_app(tmp_path, "app = func.FunctionApp()", host_json)),
    ):
        pass


def test_a_missing_host_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError) as raised, FunctionsHost(tmp_path):
        pass
    assert str(raised.value) == f"There is no host.json in {tmp_path}."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "is not JSON"),
        ('{"IsEncrypted": true}', "is encrypted: `func settings decrypt` first."),
        ('{"Values": {"A": 1}}', '"Values" in .* is not an object of strings.'),
        ('{"Values": {"FUNCTIONS_WORKER_RUNTIME": "node"}}', "FUNCTIONS_WORKER_RUNTIME is node; only python"),
        (
            '{"Values": {"AzureWebJobsStorage": "AccountName=a;AccountKey=b"}}',
            "^AzureWebJobsStorage is a connection",
        ),
    ],
)
def test_malformed_local_settings_are_named(tmp_path: Path, settings: str, message: str) -> None:
    (tmp_path / "local.settings.json").write_text(settings)
    with pytest.raises(StartError, match=message), FunctionsHost(write_app(tmp_path, "")):
        pass
