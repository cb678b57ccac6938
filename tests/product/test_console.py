"""`python -m entra_users users`: what it prints, what it leaves behind, and its exit status."""

import csv
import io
import json
import os
import pty
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes

from entra_users.__main__ import main
from entra_users.console import Progress
from entra_users.properties import DEFAULT_SELECT
from simulator import Simulator
from simulator.faults import connection_reset, page_fault, server_error, throttled
from tests.leaks import Leaks
from tests.product.conftest import Clock, Console, Printed, program_environment

FIRST_PAGE = "This is the first page; --all reads every user.\n"


def by_id(users: list[Any]) -> list[Any]:
    return sorted(users, key=lambda user: user["id"])


def whole(azure: Simulator) -> list[Any]:
    return by_id(azure.directory.users(DEFAULT_SELECT))


@pytest.fixture
def command(
    azure: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    leaks: Leaks,
) -> Callable[..., Printed]:
    """Runs the console's main function in an empty folder; the tests of the process itself use `console`."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, settings: Mapping[str, str] | None = None) -> Printed:
        with monkeypatch.context() as patch:
            for name, value in (azure.app_settings("secret") if settings is None else settings).items():
                patch.setenv(name, value)
            status = main([str(each) for each in arguments])
        out, err = capfdbinary.readouterr()
        leaks.note("what the console printed", out.decode(errors="replace"))
        leaks.note("what the console said", err.decode())
        return Printed(status=status, out=out, err=err.decode())

    return run


type Command = Callable[..., Printed]


def test_the_first_page_is_printed_as_json(azure: Simulator, console: Console) -> None:
    azure.reset(users=1200)
    printed = console("users", settings=azure.app_settings("secret"))
    assert (printed.status, printed.err) == (0, FIRST_PAGE)
    page = printed.document
    assert len(page.pop("value")) == 999
    assert list(page) == ["@odata.context"]


def test_a_directory_that_fits_on_a_page_needs_no_hint(azure: Simulator, command: Command) -> None:
    azure.reset(users=3)
    printed = command("users")
    assert (printed.status, printed.err) == (0, "")
    assert by_id(printed.document["value"]) == whole(azure)
    assert printed.out.startswith(b'{\n  "@odata.context": ')


@pytest.mark.parametrize("users", [0, 3, 1500])
@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_all_users_are_printed_in_any_form(azure: Simulator, command: Command, form: str, users: int) -> None:
    azure.reset(users=users)
    printed = command("users", "--all", "--format", form)
    assert (printed.status, printed.err) == (0, "")
    if form == "json":
        assert by_id(printed.document["value"]) == whole(azure)
    elif form == "ndjson":
        assert by_id([json.loads(line) for line in printed.out.splitlines()]) == whole(azure)
    else:
        rows = list(csv.DictReader(io.StringIO(printed.out.decode(), newline="")))
        assert {name for row in rows for name in row} <= set(DEFAULT_SELECT)
        assert sorted(row["id"] for row in rows) == [user["id"] for user in whole(azure)]


def test_the_first_page_comes_in_any_form(azure: Simulator, command: Command) -> None:
    azure.reset(users=1200)
    lines = command("users", "--format", "ndjson")
    assert (lines.status, lines.err) == (0, FIRST_PAGE)
    assert len(lines.out.splitlines()) == 999
    rows = command("users", "--format", "csv")
    assert (rows.status, rows.err) == (0, FIRST_PAGE)
    assert len(list(csv.DictReader(io.StringIO(rows.out.decode(), newline="")))) == 999


@pytest.mark.parametrize("mode", ["secret", "certificate", "federated", "managed-identity"])
def test_every_credential_works_on_the_console(azure: Simulator, command: Command, mode: str) -> None:
    azure.reset(users=3)
    azure.entra.identity.graph_roles.add("User.Read.All")
    assert by_id(command("users", settings=azure.app_settings(mode)).document["value"]) == whole(azure)


def test_a_batch_gives_way_to_other_apps(azure: Simulator, command: Command) -> None:
    """https://learn.microsoft.com/en-us/graph/throttling-limits"""
    command("users")
    assert azure.requests[-1].headers["x-ms-throttle-priority"] == "low"


def test_an_output_file_holds_what_would_be_printed(azure: Simulator, command: Command, tmp_path: Path) -> None:
    azure.reset(users=1500)
    printed = command("users", "--all", "--format", "ndjson", "--output", "users.ndjson")
    assert (printed.status, printed.out, printed.err) == (0, b"", "")
    (file,) = tmp_path.iterdir()
    assert file.name == "users.ndjson"
    assert by_id([json.loads(line) for line in file.read_bytes().splitlines()]) == whole(azure)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_output_file_replaces_an_older_one(command: Command, tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text("old")
    assert command("users", "--all", "--output", "users.json").status == 0
    assert json.loads((tmp_path / "users.json").read_bytes()) == {"value": []}


@pytest.mark.parametrize("fault", [page_fault("no-value", skip=1), page_fault("repeat-next-link", skip=1)])
def test_a_read_that_fails_midway_leaves_the_older_file_and_nothing_else(
    azure: Simulator, command: Command, tmp_path: Path, fault: Any
) -> None:
    azure.reset(users=2500)
    (tmp_path / "users.json").write_text("old")
    azure.faults.plan(fault)
    printed = command("users", "--all", "--output", "users.json")
    assert (printed.status, printed.out) == (1, b"")
    assert printed.err.startswith("error: Graph ")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"users.json": "old"}


def test_a_read_that_fails_midway_prints_nothing(azure: Simulator, command: Command) -> None:
    azure.reset(users=2500)
    azure.faults.plan(page_fault("no-value", skip=1))
    printed = command("users", "--all", "--format", "ndjson")
    assert (printed.status, printed.out) == (1, b"")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere/users.json", "error: nowhere/users.json: No such file or directory\n"),
        (".", "error: .: "),
        ("/proc/users.json", "error: /proc/users.json: "),
    ],
)
def test_an_output_file_that_cannot_be_written_is_named(command: Command, path: str, told: str) -> None:
    printed = command("users", "--output", path)
    assert (printed.status, printed.out) == (1, b"")
    assert printed.err.startswith(told)


def shell(azure: Simulator, tmp_path: Path, line: str) -> Printed:
    """The console within a line of shell, `{}`; its own exit status."""
    program = f"{shlex.quote(sys.executable)} -m entra_users"
    done = subprocess.run(
        ["bash", "-c", line.replace("{}", program)],
        env=program_environment(azure) | azure.app_settings("secret"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Printed(status=done.returncode, out=done.stdout, err=done.stderr.decode())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{} users --all >&-", "error: standard output: closed\n"),
        ("{} users --all --format ndjson > /dev/full", "error: standard output: No space left on device\n"),
        ("{} users --all --format ndjson | head -c 10; exit ${PIPESTATUS[0]}", "error: standard output: Broken pipe\n"),
    ],
)
def test_a_standard_output_that_does_not_take_everything_is_a_failure(
    azure: Simulator, tmp_path: Path, line: str, told: str
) -> None:
    azure.reset(users=3000)
    printed = shell(azure, tmp_path, line)
    assert (printed.status, printed.err) == (1, told)


@pytest.mark.parametrize(
    "arguments", [[], ["user"], ["users", "--format", "xml"], ["users", "--top", "5"], ["users", "x"]]
)
def test_wrong_use_is_said_with_the_usage(
    command: Command, capfdbinary: pytest.CaptureFixture[bytes], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(*arguments)
    out, err = capfdbinary.readouterr()
    assert (caught.value.code, out) == (2, b"")
    assert err.startswith(b"usage: python -m entra_users")


def test_faults_of_settings_are_told_all_at_once_without_a_traceback(console: Console) -> None:
    printed = console("users", settings={"GRAPH_CLIENT_ID": "my app", "SYNC_LANES": "none"})
    assert (printed.status, printed.out) == (2, b"")
    assert [line.removeprefix("error: ").split()[0] for line in printed.err.splitlines()] == [
        "GRAPH_CLIENT_ID",
        "SYNC_LANES",
        "GRAPH_TENANT_ID",
        "KEY_VAULT_URL",
    ]


def test_settings_come_from_the_file_where_no_variable_is_set(
    azure: Simulator, console: Console, tmp_path: Path
) -> None:
    azure.reset(users=3)
    values = azure.app_settings("secret") | {"GRAPH_CLOUD": "mars", "SYNC_LANES": 4}
    text = json.dumps({"IsEncrypted": False, "Values": values})
    (tmp_path / "local.settings.json").write_text(text, encoding="utf-8-sig")
    printed = console("users", settings={"GRAPH_CLOUD": "global"})
    assert (printed.status, printed.err) == (0, "")
    assert by_id(printed.document["value"]) == whole(azure)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Values": null}', '{"Values": []}', '{"Values": {"a": 1}'])
def test_a_settings_file_that_is_none_is_said(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    printed = command("users")
    assert (printed.status, printed.err) == (
        2,
        'error: local.settings.json is not JSON of the form {"Values": {"NAME": "value"}}.\n',
    )


def test_a_settings_file_that_cannot_be_read_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").mkdir()
    printed = command("users")
    assert (printed.status, printed.err) == (1, "error: local.settings.json: Is a directory\n")


def no_consent(azure: Simulator) -> None:
    azure.entra.application.graph_roles.clear()


def wrong_secret(azure: Simulator) -> None:
    azure.vaults["contoso"].set_secret("graph-client-secret", "b7Q~made-up-and-wrong")


def no_vault_access(azure: Simulator) -> None:
    azure.vaults["contoso"].readers.clear()


@pytest.mark.parametrize(
    ("spoil", "code", "remedy"),
    [
        (no_consent, "Authorization_RequestDenied", "{login}/{tenant}/adminconsent?client_id={app}"),
        (wrong_secret, "AADSTS7000215", "https://contoso.vault.azure.net"),
        (no_vault_access, "ForbiddenByRbac", "Key Vault Secrets User"),
    ],
)
def test_a_failure_names_cause_and_remedy(
    azure: Simulator, command: Command, spoil: Callable[[Simulator], None], code: str, remedy: str
) -> None:
    spoil(azure)
    settings = azure.app_settings("secret")
    printed = command("users")
    assert (printed.status, printed.out) == (1, b"")
    assert f"code {code}" in printed.err
    login = "https://login.microsoftonline.com"
    assert (
        remedy.format(login=login, tenant=settings["GRAPH_TENANT_ID"], app=settings["GRAPH_CLIENT_ID"]) in printed.err
    )
    assert "Traceback" not in printed.err


def test_an_unknown_tenant_is_named(azure: Simulator, command: Command) -> None:
    printed = command("users", settings=azure.app_settings("secret") | {"GRAPH_TENANT_ID": "nowhere.example"})
    assert printed.status == 1
    assert "https://login.microsoftonline.com/nowhere.example" in printed.err
    assert "AADSTS90002" in printed.err


def test_trouble_that_outlasts_the_budget_is_an_error(azure: Simulator, command: Command) -> None:
    azure.faults.plan(server_error(503, "90", times=None))
    printed = command("users", settings=azure.app_settings("secret") | {"SYNC_BUDGET_SECONDS": "60"})
    assert (printed.status, printed.out) == (1, b"")
    assert printed.err.startswith("error: GET /v1.0/users was answered with an error.")


def test_a_warning_of_expiry_goes_to_standard_error(azure: Simulator, console: Console) -> None:
    azure.entra.application.add_secret("soon-to-end", days=3)
    soon = azure.entra.application.secrets[-1]
    azure.vaults["contoso"].set_secret("graph-client-secret", soon.value, expires_on=soon.expires_on)
    printed = console("users", settings=azure.app_settings("secret"))
    assert printed.status == 0
    assert printed.err.startswith("WARNING The secret 'graph-client-secret' of app ")
    assert json.loads(printed.out)["value"] == []


def write(azure: Simulator, folder: Path, **changed: Any) -> Path:
    tenant = azure.app_settings("secret")["GRAPH_TENANT_ID"]
    parameters = {
        "authority": f"https://login.microsoftonline.com/{tenant}",
        "client_id": azure.entra.application.client_id,
        "scope": ["https://graph.microsoft.com/.default"],
        "secret": azure.entra.application.secrets[0].value,
        "endpoint": "https://graph.microsoft.com/v1.0/users",
    } | changed
    path = folder / "parameters.json"
    path.write_text(json.dumps(parameters))
    return path


def test_the_quickstarts_file_with_a_secret_prints_the_users(
    azure: Simulator, console: Console, tmp_path: Path
) -> None:
    azure.reset(users=150)
    printed = console("users", "--parameters", write(azure, tmp_path))
    assert (printed.status, printed.err) == (0, FIRST_PAGE)
    assert len(printed.document["value"]) == 100


def test_the_quickstarts_file_with_a_certificate_prints_every_user(
    azure: Simulator, command: Command, tmp_path: Path
) -> None:
    azure.reset(users=150)
    certificate = azure.entra.application.certificates[0]
    (tmp_path / "server.pem").write_text(certificate.key_pem())
    path = write(
        azure,
        tmp_path,
        secret=None,
        thumbprint=certificate.thumbprint(hashes.SHA1()).hex(),  # noqa: S303 -- its name
        private_key_file="server.pem",
    )
    printed = command("users", "--parameters", path, "--all", "--format", "ndjson", settings={})
    assert (printed.status, printed.err) == (0, "")
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert sorted(each["id"] for each in lines) == [user["id"] for user in whole(azure)]


def test_the_quickstarts_endpoint_names_the_columns_of_csv(azure: Simulator, command: Command, tmp_path: Path) -> None:
    azure.reset(users=150)
    endpoint = "https://graph.microsoft.com/v1.0/users?$select=id,userType&$top=60"
    path = write(azure, tmp_path, endpoint=endpoint)
    printed = command("users", "--parameters", path, "--all", "--format", "csv", settings={})
    rows = list(csv.DictReader(io.StringIO(printed.out.decode(), newline="")))
    assert by_id(rows) == by_id(azure.directory.users(["id", "userType"]))


def test_another_scope_and_endpoint_print_the_json_of_any_protected_api(
    azure: Simulator, command: Command, tmp_path: Path
) -> None:
    path = write(azure, tmp_path, scope=["api://contoso-api/.default"], endpoint="https://api.contoso.example/reports")
    printed = command("users", "--parameters", path, settings={})
    assert (printed.status, printed.err) == (0, "")
    assert printed.document["reports"][0] == {"id": 1, "name": "Sign-ins"}


def test_an_api_without_users_has_no_all(azure: Simulator, command: Command, tmp_path: Path) -> None:
    path = write(azure, tmp_path, scope=["api://contoso-api/.default"], endpoint="https://api.contoso.example/reports")
    printed = command("users", "--parameters", path, "--all", settings={})
    assert (printed.status, printed.out) == (1, b"")
    assert "are not a page of users" in printed.err


def test_a_quickstart_file_that_is_wrong_is_wrong_use(azure: Simulator, command: Command, tmp_path: Path) -> None:
    path = write(azure, tmp_path, client_id="your_client_id", scope=None)
    printed = command("users", "--parameters", path, settings={})
    assert (printed.status, printed.out) == (2, b"")
    assert len(printed.err.splitlines()) == 2


@pytest.mark.parametrize("custom", [False, True])
def test_without_consent_the_page_for_it_is_named(
    azure: Simulator, command: Command, tmp_path: Path, custom: bool
) -> None:
    azure.entra.application.graph_roles.clear()
    tenant = azure.app_settings("secret")["GRAPH_TENANT_ID"]
    oidc = {"authority": None, "oidc_authority": f"https://login.contoso.example/{tenant}/v2.0"}
    printed = command("users", "--parameters", write(azure, tmp_path, **(oidc if custom else {})), settings={})
    host = "login.contoso.example" if custom else "login.microsoftonline.com"
    assert printed.status == 1
    app = azure.entra.application.client_id
    assert f"https://{host}/{tenant}/adminconsent?client_id={app}" in printed.err


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What a terminal shows until something comes; the end of the program would raise."""
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)
    return seen


def start_on_terminal(azure: Simulator, folder: Path, terminal: int, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "entra_users", "users", "--all", *arguments],
        env=program_environment(azure) | azure.app_settings("secret"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )


def test_a_terminal_shows_progress(azure: Simulator, tmp_path: Path, terminal: tuple[int, int]) -> None:
    azure.reset(users=1500)
    with start_on_terminal(azure, tmp_path, terminal[1], "--format", "ndjson") as program:
        assert len(program.communicate()[0].splitlines()) == 1500
        seen = read_until(terminal[0], b"\n")
    assert b"\r1,500 users, " in seen
    assert program.returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_read_that_is_ended_midway_leaves_nothing_behind(
    azure: Simulator, tmp_path: Path, terminal: tuple[int, int], number: signal.Signals, status: int
) -> None:
    azure.reset(users=30_000)
    azure.state.latency = 0.1
    with start_on_terminal(azure, tmp_path, terminal[1], "--output", "users.json") as program:
        read_until(terminal[0], b" users, ")
        assert [path.name[:12] for path in tmp_path.iterdir()] == [".users.json."]
        program.send_signal(number)
        program.communicate()
    assert program.returncode == status
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_does_not_sit_out_the_wait_that_graph_asked_for(
    azure: Simulator, tmp_path: Path, terminal: tuple[int, int]
) -> None:
    azure.reset(users=30_000)
    azure.faults.plan(throttled("600", path="^/v1.0/users$", skip=3, times=None))
    with start_on_terminal(azure, tmp_path, terminal[1], "--output", "users.json") as program:
        read_until(terminal[0], b" users, ")
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
    assert program.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_users_and_how_many_a_second() -> None:
    clock, shown = Clock(), io.StringIO()
    pages = [[msgspec.Raw(b"{}")] * 999, [msgspec.Raw(b"{}")] * 501]
    progress = Progress(shown, clock)
    seen: list[Any] = []
    for page in progress.over(pages):
        seen.append(page)
        clock.sleep(1.5)
    assert seen == pages
    assert shown.getvalue() == "\r999 users, 999,000 a second \r1,500 users, 1,000 a second \n"


def test_a_connection_that_broke_is_told_without_an_address(azure: Simulator, command: Command) -> None:
    azure.reset(users=2500)
    azure.faults.plan(connection_reset(skip=2, times=None))
    printed = command("users", "--all", settings=azure.app_settings("secret") | {"SYNC_BUDGET_SECONDS": "1"})
    assert (printed.status, printed.out) == (1, b"")
    assert "The connection to https://graph.microsoft.com failed or ended early (ConnectionResetError: " in printed.err
