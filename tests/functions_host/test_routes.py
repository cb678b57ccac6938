"""Route templates and their constraints.

https://learn.microsoft.com/en-us/aspnet/core/fundamentals/routing#route-constraints
"""

import pytest

from simulator.functions import StartError
from simulator.functions.routes import compile_template, decode_path


@pytest.mark.parametrize(
    ("constraint", "fits", "fits_not"),
    [
        ("int", "-2147483648", "2147483648"),
        ("long", "9223372036854775807", "9223372036854775808"),
        ("bool", "True", "yes"),
        ("guid", "CD2C1E48-40FF-454E-A748-42ABB8CAB137", "cd2c1e48"),
        ("alpha", "Users", "users1"),
        ("length(3)", "abc", "abcd"),
        ("length(2,3)", "ab", "a"),
        ("minlength(2)", "ab", "a"),
        ("maxlength(2)", "ab", "abc"),
        ("min(5)", "5", "4"),
        ("max(5)", "5", "6"),
        ("range(1,3)", "3", "0"),
        (r"regex(^\d{{3}}$)", "123", "1234"),
        (r"regex(^(a|b)$)", "A", "ab"),
        ("int:min(1)", "1", "0"),
    ],
)
def test_a_constraint_admits_what_fits_it(constraint: str, fits: str, fits_not: str) -> None:
    template = compile_template(f"runs/{{run:{constraint}}}")
    assert (template.match(f"/runs/{fits}"), template.match(f"/runs/{fits_not}")) == ({"run": fits}, None)


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("users", "/users/", {}),
        ("users/{id=me}", "/users", {"id": "me"}),
        ("users/{id=me}", "/users/you", {"id": "you"}),
        ("users/{id:int?}", "/users", {}),
        ("{*rest}", "/", {}),
        ("files/{**rest}", "/files/a/b", {"rest": "a/b"}),
        ("a{{b}}", "/a{b}", {}),
    ],
)
def test_defaults_optional_parameters_and_braces(text: str, path: str, values: dict[str, str]) -> None:
    assert compile_template(text).match(path) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users/{id", "has a brace that is not closed"),
        ("users/{id:colour}", "has the constraint 'colour', which there is not"),
        ("users/{first}.{last}", "mixes text and parameters in one segment"),
        ("users/{a b}", "has the parameter '{a b}', which is not understood"),
    ],
)
def test_what_is_no_template_is_refused(text: str, message: str) -> None:
    with pytest.raises(StartError) as raised:
        compile_template(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/a/./b", "/a/b"),
        (b"/a/b/..", "/a/"),
        (b"/a/b/.", "/a/b/"),
        (b"/../../a", "/a"),
        (b"/a%2f..%2Fb", "/a%2f..%2Fb"),
        (b"/a%", "/a%"),
    ],
)
def test_a_path_is_decoded_and_tidied(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path
