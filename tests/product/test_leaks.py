"""The watch over the suite's logs, errors and printed output, held against leaks made on purpose."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from entra_users.errors import TokenError
from simulator import Simulator, client_certificate
from simulator.paging import seal
from tests.leaks import Leaks, leaks_in, secrets_of
from tests.product.conftest import ROOT, IssuedTokens, program_environment


def made_up(*parts: str) -> str:
    """A text that is put together only here, so that this file itself holds no secret."""
    return "".join(parts)


def test_every_kind_of_secret_is_found(azure: Simulator) -> None:
    token = IssuedTokens(azure).acquire().value
    page_token = seal(azure.directory.key, "use", [10, 0, False])
    link = made_up("https://graph.microsoft.com/v1.0/users?$select=id&$skip", f"token={page_token}")
    assert leaks_in(f"Bearer {token}.") == ["a token"]
    assert leaks_in(client_certificate("entra-users").key_pem()) == ["a private key"]
    assert leaks_in(link) == ["a page or delta token", "a page token by itself"]
    assert leaks_in(link.replace("=", "%3D")) == ["a page or delta token"]
    assert leaks_in(f"({page_token})") == ["a page token by itself"]
    assert leaks_in(made_up("https://app/api/users?x=L3YxLj", "AvdXNlcnM_JHNlbGVjdD1pZA")) == ["a continuation"]
    assert leaks_in(made_up("https://a.blob.core.windows.net/b?si", "g=abcdefghijklmnopqrstuvwxyz")) == [
        "a signature of storage"
    ]
    assert leaks_in(made_up("Account", "Key=abc")) == ["a key of storage"]
    secret = azure.entra.application.secrets[0].value
    assert leaks_in(f"the secret {secret} is wrong", secrets_of(azure)) == ["a secret"]


def test_what_is_no_secret_is_not_taken_for_one(azure: Simulator) -> None:
    innocent = (
        "GET /v1.0/users?$select=id&$skiptoken=... $deltatoken=latest 87d349ed-44d7-43e1-9a83-5f2406dee5bd"
        " 698cd753d26348879927fdc1d0d32873 graph-client-secret KEY_VAULT_CERTIFICATE_NAME AADSTS7000215"
    )
    assert leaks_in(innocent, secrets_of(azure)) == []


def test_what_the_simulator_keeps_to_itself_is_known(azure: Simulator) -> None:
    azure.vaults["contoso"].set_secret("another", "value-of-another")
    known = set(secrets_of(azure))
    assert {azure.environment["IDENTITY_HEADER"], azure.entra.application.secrets[0].value, "value-of-another"} <= known


def test_a_watch_names_the_place_and_not_the_secret() -> None:
    watch = Leaks()
    watch.know("made-up-secret")
    watch.note("the log of x", "nothing")
    watch.check()
    watch.note("the log of y", "it is made-up-secret")
    with pytest.raises(AssertionError) as caught:
        watch.check()
    assert str(caught.value) == "leaked: a secret in the log of y"
    watch.check()


LEAKY = """
import logging
import subprocess
import sys
from entra_users.errors import TokenError
from simulator.functions.logs import Logs

SECRET = "ey" + "J0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"

def test_log():
    logging.getLogger("some.library").warning("Bearer %s", SECRET)

def test_trace():
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("some.library").exception("failed")

def test_error():
    try:
        raise TokenError(f"refused {SECRET}")
    except TokenError:
        pass

def test_cause():
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise TokenError("refused") from error
    except TokenError:
        pass

def test_code():
    try:
        raise TokenError("refused", code=SECRET)
    except TokenError:
        pass

def test_program():
    subprocess.run([sys.executable, "-c", f"print({SECRET!r})"], capture_output=True)

def test_complaint():
    subprocess.run([sys.executable, "-c", f"exit({SECRET!r})"], capture_output=True, text=True)

def test_worker():
    Logs().add("Information", "some.category", SECRET)

def test_well():
    logging.getLogger("some.library").warning("nothing")
"""


def test_a_test_that_leaks_fails(azure: Simulator, tmp_path: Path) -> None:
    """In a pytest of its own, with the fixtures of this suite."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import _no_leak, leaks\n")
    (tmp_path / "test_leaky.py").write_text(LEAKY)
    report = tmp_path / "report"
    with report.open("wb") as output:  # and not through a pipe, which is watched
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pytest.toml", tmp_path],
            cwd=ROOT,
            env=program_environment(azure),
            stdout=output,
            check=False,
        )
    told = report.read_text()
    failed = [line for line in told.splitlines() if line.startswith("ERROR ") and "::" in line]
    assert [line.split("::")[1].split()[0] for line in failed] == [
        f"test_{name}" for name in ("log", "trace", "error", "cause", "code", "program", "complaint", "worker")
    ]
    assert "9 passed, 8 errors" in told
    assert "leaked: a token in the log of some.library" in told
    assert "leaked: a token in the log of simulator.functions.logs" in told
    assert "leaked: a token in the error TokenError" in told
    assert "leaked: a token in what a program printed" in told


def test_the_watch_sees_this_suite(leaks: Leaks) -> None:
    seen: list[tuple[str, str]] = leaks._seen
    logging.getLogger("entra_users.some").warning("a warning")
    with pytest.raises(TokenError):
        raise TokenError("an error")
    subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, check=True)
    assert ("the log of entra_users.some", "a warning") in seen
    assert [where for where, _ in seen].count("the error TokenError") == 1
    assert ("what a program printed", "7\n") in seen
