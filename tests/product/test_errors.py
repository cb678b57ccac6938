"""The error tree: drawn as it is, and each error's message whole."""

import inspect
import re

import pytest

from entra_users import errors
from entra_users.errors import EntraUsersError, SettingsError


def drawn() -> dict[str, str]:
    """Each error of the drawing, by its parent."""
    tree: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ((?:│   |    |├── |└── )*)(\w+)(?:\s{2}|$)", line)
        if found:
            depth, name = len(found[1]) // 4, found[2]
            above[depth:] = [name]
            tree[name] = above[depth - 1] if depth else "Exception"
    return tree


def test_the_tree_is_drawn_as_it_is() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, EntraUsersError)]
    assert {each.__name__: each.__bases__[0].__name__ for each in classes} == drawn()


def test_a_message_ends_with_the_facts_that_there_are() -> None:
    assert str(EntraUsersError("What happened.")) == "What happened."
    error = EntraUsersError("What happened.", status=404, code="NotFound", request_id="the-id", retry_after=7.0)
    assert str(error) == "What happened. (status 404, code NotFound, request-id the-id)"
    assert (error.status, error.code, error.request_id, error.retry_after) == (404, "NotFound", "the-id", 7.0)


def test_settings_faults_are_a_line_each() -> None:
    error = SettingsError(["A is missing.", "B is wrong."])
    assert (str(error), error.faults) == ("A is missing.\nB is wrong.", ("A is missing.", "B is wrong."))


@pytest.mark.parametrize("name", sorted(drawn()))
def test_every_error_says_in_one_line_what_it_is(name: str) -> None:
    assert len((getattr(errors, name).__doc__ or "").strip()) > 10
