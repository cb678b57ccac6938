"""One request of Graph with its retries, and pages followed to the end, over TLS to the simulated Graph."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import certifi
import msgspec
import pytest

from entra_users.errors import (
    AccessDenied,
    BadQuery,
    BrokenPaging,
    EntraUsersError,
    MalformedPage,
    NotFound,
    RequestError,
    Throttled,
    TimedOut,
    Unavailable,
)
from entra_users.graph import Graph, Page, Usage
from entra_users.tokens import Tokens
from simulator import Fault, Simulator
from simulator.faults import (
    answered,
    connection_reset,
    hang,
    not_json,
    page_fault,
    server_error,
    throttled,
    truncated,
    unreachable,
)
from tests.product.conftest import GRAPH, Clock, IssuedTokens

URL = f"{GRAPH}/v1.0/users?$select=id,mail&$top=10"
DATE = datetime(2026, 11, 22, tzinfo=UTC)


def users_of(pages: list[Page]) -> list[Any]:
    return [msgspec.json.decode(user) for page in pages for user in page.users]


def asked(azure: Simulator, host: str = "graph.microsoft.com") -> list[int | None]:
    return [request.status for request in azure.requests if request.host == host]


def by_id(users: list[Any]) -> list[Any]:
    return sorted(users, key=lambda user: user["id"])


def test_pages_are_followed_to_the_end_and_hold_every_user_once(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    pages = list(graph.pages(URL))
    assert [len(page.users) for page in pages] == [10, 10, 5]
    assert by_id(users_of(pages)) == by_id(azure.directory.users(["id", "mail"]))
    assert pages[-1].next_link is None


def test_a_directory_without_users_is_one_empty_page(azure: Simulator, graph: Graph) -> None:
    assert [page.users for page in graph.pages(URL)] == [[]]
    assert asked(azure) == [200]


def test_an_empty_page_with_a_next_link_is_not_the_end(azure: Simulator, graph: Graph) -> None:
    """msgraph-core's PageIterator stops there: https://learn.microsoft.com/en-us/graph/paging."""
    azure.reset(users=25)
    azure.faults.plan(page_fault("empty-page"), page_fault("empty-page", skip=1))
    pages = list(graph.pages(URL))
    assert [len(page.users) for page in pages] == [0, 10, 0, 10, 5]
    assert by_id(users_of(pages)) == by_id(azure.directory.users(["id", "mail"]))


def test_the_next_page_is_not_asked_for_before_it_is_wanted(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    pages = graph.pages(URL)
    assert len(next(pages).users) == 10
    assert asked(azure) == [200]


@pytest.mark.parametrize("page", [0, 1])
def test_a_next_link_that_repeats_is_refused(azure: Simulator, graph: Graph, page: int) -> None:
    azure.reset(users=25)
    azure.faults.plan(page_fault("repeat-next-link", skip=page))
    pages = graph.pages(URL)
    for _ in range(page + 1):
        next(pages)
    with pytest.raises(BrokenPaging, match="a next link a second time"):
        next(pages)
    assert len(azure.requests) == page + 1


def test_a_next_link_to_another_host_gets_no_token(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    azure.faults.plan(page_fault("foreign-next-link"))
    with pytest.raises(BrokenPaging, match=r"does not lead to https://graph\.microsoft\.com"):
        list(graph.pages(URL))
    assert [request.host for request in azure.requests] == ["graph.microsoft.com"]


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.microsoft.com@evil.example/v1.0/users",
        "https://graph.microsoft.com.evil.example/v1.0/users",
        "https://graph.microsoft.com:8443/v1.0/users",
        "https://graph.microsoft.com\\@evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://[",
        "//graph.microsoft.com/v1.0/users",
        "/v1.0/users",
    ],
)
def test_an_address_that_is_not_graphs_is_not_asked(azure: Simulator, graph: Graph, url: str) -> None:
    assert not graph.owns(url)
    with pytest.raises(BrokenPaging, match="a token is not sent there"):
        graph.page(url)
    azure.faults.plan(answered(200, msgspec.json.encode({"value": [], "@odata.nextLink": url}).decode()))
    with pytest.raises(BrokenPaging, match="a token is not sent there"):
        list(graph.pages(URL))
    assert asked(azure) == [200]


def test_a_delta_link_to_another_host_is_refused_too(azure: Simulator, graph: Graph) -> None:
    link = "https://evil.example/v1.0/users/delta?$deltatoken=latest"
    azure.faults.plan(answered(200, msgspec.json.encode({"value": [], "@odata.deltaLink": link}).decode()))
    with pytest.raises(BrokenPaging):
        graph.page(URL)


def test_every_page_of_an_advanced_query_carries_the_header(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    pages = list(graph.pages(f"{URL}&$count=true", advanced=True, headers={"Prefer": "return=minimal"}))
    assert [page.count for page in pages] == [25, None, None]
    sent = [(each.headers.get("consistencylevel"), each.headers.get("prefer")) for each in azure.requests]
    assert sent == [("eventual", "return=minimal")] * 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_users_are_on_one_line_each_however_graph_breaks_a_page(azure: Simulator, graph: Graph, end: str) -> None:
    page = f'{{"value": [{end}{{{end}"id":{end}"1", "n": 1.50,{end} "name": "a\\nb"{end}}}{end}, {{"id":"2"}}]}}'
    azure.faults.plan(answered(200, page))
    assert [bytes(each) for each in graph.page(URL).users] == [b'{"id":"1","n":1.50,"name":"a\\nb"}', b'{"id":"2"}']


def test_users_are_the_bytes_that_graph_sent(azure: Simulator, graph: Graph) -> None:
    user = b'{ "id":"1",\t"displayName" : "\\u00e4\xc3\xa4", "n": 1.50, "n": 2 }'
    azure.faults.plan(Fault(status=200, body=b'{"x": [1], "value": [' + user + b"] }"))
    assert [bytes(each) for each in graph.page(URL).users] == [user]


@pytest.mark.parametrize("kind", ["no-value", "cut-json"])
@pytest.mark.parametrize("page", [0, 1])
def test_a_page_without_users_or_cut_short_is_an_error(azure: Simulator, graph: Graph, kind: str, page: int) -> None:
    azure.reset(users=25)
    azure.faults.plan(page_fault(kind, skip=page))
    with pytest.raises(MalformedPage) as caught:
        list(graph.pages(URL))
    assert caught.value.status == 200
    assert caught.value.request_id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"value": null}',
        b'{"value": {}}',
        b'{"value": [1, 2}',
        b'{"value": [], "@odata.nextLink": 7}',
        b'{"error": {"code": "x"}}',
        b'{"value": [], "@odata.context": "\xff"}',
        b'{"value": [' + b"[" * 100_000 + b"]}",
    ],
)
def test_anything_else_with_status_200_is_an_error(azure: Simulator, graph: Graph, body: bytes) -> None:
    azure.faults.plan(Fault(status=200, body=body))
    with pytest.raises(MalformedPage, match="that are not a page of users"):
        graph.page(URL)


def test_a_captive_portal_is_not_taken_for_graph(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(not_json())
    with pytest.raises(MalformedPage, match="Look for a proxy"):
        graph.page(URL)


def test_no_content_is_no_page(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(answered(204))
    with pytest.raises(MalformedPage, match="Graph answered 204 with 0 bytes"):
        graph.page(URL)


def test_a_redirect_is_not_followed_since_it_would_carry_the_token(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(answered(302, headers={"Location": "https://api.contoso.example/reports"}))
    with pytest.raises(RequestError) as caught:
        graph.page(URL)
    assert (type(caught.value), caught.value.status) == (RequestError, 302)
    assert [request.host for request in azure.requests] == ["graph.microsoft.com"]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 509])
def test_what_may_pass_is_repeated_with_growing_waits(
    azure: Simulator, graph: Graph, clock: Clock, status: int
) -> None:
    azure.reset(users=3)
    azure.faults.plan(server_error(status, times=3))
    assert len(graph.page(URL).users) == 3
    assert asked(azure) == [status, status, status, 200]
    assert clock.slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("retry_after", "waited"), [("7", 7.0), ("2.128", 2.128), (None, 0.5), ("0", 0.5), ("nonsense", 0.5)]
)
@pytest.mark.parametrize("fault", [throttled, partial(server_error, 503)])
def test_retry_after_is_kept_to_the_second_and_without_it_waits_grow(
    azure: Simulator, graph: Graph, clock: Clock, fault: Callable[..., Fault], retry_after: str, waited: float
) -> None:
    azure.reset(users=3)
    azure.faults.plan(fault(retry_after))
    assert len(graph.page(URL).users) == 3
    assert clock.slept == [waited]


def test_retry_after_may_be_a_date(azure: Simulator, graph: Graph, clock: Clock) -> None:
    azure.reset(users=3)
    azure.faults.plan(throttled(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)))
    assert len(graph.page(URL).users) == 3
    assert len(clock.slept) == 1
    assert 30 < clock.slept[0] <= 60


@pytest.mark.parametrize("fault", [connection_reset, unreachable, truncated])
def test_a_connection_that_breaks_is_made_anew(
    azure: Simulator, graph: Graph, clock: Clock, fault: Callable[..., Fault]
) -> None:
    azure.reset(users=25)
    azure.faults.plan(fault(times=2))
    assert by_id(users_of(list(graph.pages(URL)))) == by_id(azure.directory.users(["id", "mail"]))
    assert clock.slept == [0.5, 1.0]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("at", [0, 1, 150])
def test_a_body_cut_short_on_the_way_never_passes_for_a_whole_one(
    azure: Simulator, make_graph: Callable[..., Graph], encoding: str, at: int
) -> None:
    azure.reset(users=25)
    azure.faults.plan(truncated(at))
    graph = make_graph(headers={"Accept-Encoding": encoding})
    assert by_id(users_of(list(graph.pages(URL)))) == by_id(azure.directory.users(["id", "mail"]))


def test_a_compressed_body_that_was_damaged_is_asked_for_again(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=3)
    azure.faults.plan(answered(200, "not gzip at all", {"Content-Encoding": "gzip"}))
    assert len(graph.page(URL).users) == 3


def test_no_answer_in_time_is_repeated_and_then_said(
    azure: Simulator, make_graph: Callable[..., Graph], clock: Clock
) -> None:
    azure.faults.plan(hang(times=None))
    with pytest.raises(TimedOut) as caught:
        make_graph(timeout=(5.0, 0.05), budget=2.0).page(URL)
    assert str(caught.value) == "https://graph.microsoft.com did not answer in time. Check the network to it."
    assert clock.slept == [0.5, 1.0]


def test_the_budget_and_not_a_count_ends_the_retries(azure: Simulator, graph: Graph, clock: Clock) -> None:
    azure.faults.plan(server_error(503, times=None))
    with pytest.raises(Unavailable) as caught:
        graph.page(URL)
    assert clock.slept == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert (caught.value.status, caught.value.code) == (503, "ServiceUnavailable")
    assert asked(azure) == [503] * 9


def test_a_wait_that_goes_past_the_budget_is_not_begun(azure: Simulator, graph: Graph, clock: Clock) -> None:
    azure.faults.plan(throttled("100"))
    with pytest.raises(Throttled) as caught:
        graph.page(URL)
    assert (clock.slept, caught.value.retry_after) == ([], 100.0)


def test_a_wait_that_took_longer_than_planned_still_leaves_a_last_attempt(
    azure: Simulator, make_graph: Callable[..., Graph], clock: Clock
) -> None:
    """Sleeping is never exact; what is left of the budget may then be nothing."""
    azure.reset(users=3)
    azure.faults.plan(server_error(503, "9.5"))

    def oversleep(seconds: float) -> None:
        clock.sleep(seconds + 1)

    graph = make_graph(budget=10.0, sleep=oversleep)
    assert len(graph.page(URL).users) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadQuery), (403, AccessDenied), (404, NotFound), (501, BadQuery), (409, RequestError)],
)
def test_a_refusal_is_not_repeated(
    azure: Simulator, graph: Graph, clock: Clock, status: int, kind: type[EntraUsersError]
) -> None:
    azure.faults.plan(answered(status, '{"error": {"code": "Refused", "message": "No."}}'))
    with pytest.raises(kind) as caught:
        graph.page(URL)
    assert (caught.value.status, caught.value.code, clock.slept) == (status, "Refused", [])
    assert asked(azure) == [status]


def test_an_untrusted_certificate_is_named(make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case behind a proxy that opens TLS: its authority is not in REQUESTS_CA_BUNDLE."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        make_graph(budget=1.0).page(URL)


def test_an_error_says_what_broke_and_not_where_the_page_was(azure: Simulator, graph: Graph, clock: Clock) -> None:
    """urllib3's own messages quote the address, page token included."""
    azure.reset(users=25)
    azure.faults.plan(connection_reset(skip=1, times=None))
    with pytest.raises(Unavailable) as caught:
        list(graph.pages(URL))
    assert str(caught.value) == (
        "The connection to https://graph.microsoft.com failed or ended early (ConnectionResetError: [Errno 104]"
        " Connection reset by peer). Check the network to it."
    )
    assert caught.value.__suppress_context__


def test_whoever_shares_the_graph_waits_too(azure: Simulator, graph: Graph, clock: Clock) -> None:
    azure.reset(users=3)
    azure.faults.plan(throttled("200"))
    first, second = graph.lane(), graph.lane()
    with pytest.raises(Throttled):
        first.page(URL)
    with pytest.raises(Throttled) as caught:
        second.page(URL)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "TooManyRequests", 200.0)
    assert asked(azure) == [429]
    clock.sleep(150)
    assert len(second.page(URL).users) == 3
    assert clock.slept == [150, 50]


def test_lanes_wait_together_and_once(azure: Simulator, make_graph: Callable[..., Graph]) -> None:
    """Four threads run into one limit: none asks again before its time."""
    azure.reset(users=3)
    azure.faults.plan(throttled("10", times=4))
    arrived, clock = threading.Barrier(4), Clock()
    waits = threading.Lock()

    def sleep(seconds: float) -> None:
        with waits:
            clock.sleep(seconds)

    graph = make_graph(clock=clock, sleep=sleep)
    failures: list[BaseException] = []

    def read() -> None:
        arrived.wait()
        try:
            assert len(graph.page(URL).users) == 3
        except BaseException as error:  # noqa: BLE001 -- told by the test
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(asked(azure), key=str) == [200] * 4 + [429] * 4


def test_throttling_without_a_wait_holds_back_nobody_else(azure: Simulator, graph: Graph, clock: Clock) -> None:
    azure.reset(users=3)
    azure.faults.plan(throttled(times=9))
    with pytest.raises(Throttled) as caught:
        graph.page(URL)
    assert (caught.value.retry_after, clock.slept) == (None, [0.5, 1, 2, 4, 8, 16, 30, 30])
    assert len(graph.page(URL).users) == 3


def test_usage_counts_requests_retries_units_and_waits(azure: Simulator, graph: Graph) -> None:
    azure.reset(users=25)
    azure.faults.plan(throttled("7"), server_error(503), answered(200, '{"value": []}', times=1))
    lane = graph.lane()
    list(lane.pages(URL))
    expected = Usage(requests=3, retries=2, throttled_seconds=7.0, resource_units=3)
    assert (lane.usage, graph.usage) == (expected, Usage())
    graph.page(f"{GRAPH}/v1.0/users")
    assert graph.usage == Usage(requests=1, retries=0, throttled_seconds=0.0, resource_units=2)
    assert lane.usage + graph.usage == Usage(requests=4, retries=2, throttled_seconds=7.0, resource_units=5)
    assert graph.total == lane.total == lane.usage + graph.usage


def test_a_cost_that_is_no_number_counts_as_one(azure: Simulator, graph: Graph) -> None:
    azure.faults.plan(answered(200, '{"value": []}', {"x-ms-resource-unit": "1.5, proxy"}))
    graph.page(URL)
    assert graph.usage.resource_units == 1


def test_the_simulated_limits_are_kept_by_waiting(azure: Simulator, graph: Graph, clock: Clock) -> None:
    """Requests on a clock of the test's own; Graph's limits on the same clock."""
    azure.reset(users=100)
    azure.state.throttle.enabled, azure.state.throttle.units = True, 2
    azure.state.throttle._clock = clock
    assert by_id(users_of(list(graph.pages(URL)))) == by_id(azure.directory.users(["id", "mail"]))
    assert azure.state.throttle.refused == graph.usage.retries > 0


def test_a_token_that_graph_refuses_is_renewed_once(
    azure: Simulator, make_graph: Callable[..., Graph], clock: Clock
) -> None:
    azure.reset(users=25)
    source = IssuedTokens(azure)
    graph = make_graph(tokens=Tokens(source))
    pages = graph.pages(URL)
    next(pages)
    azure.entra.revoke_tokens()
    rest = list(pages)
    assert [len(page.users) for page in rest] == [10, 5]
    assert (source.acquired, asked(azure), clock.slept) == (2, [200, 401, 200, 200], [])


def test_a_fresh_token_that_is_refused_is_an_error(azure: Simulator, make_graph: Callable[..., Graph]) -> None:
    source = IssuedTokens(azure, "china")  # a token that crossed clouds
    with pytest.raises(AccessDenied) as caught:
        make_graph(tokens=Tokens(source)).page(URL)
    assert (caught.value.status, caught.value.code, source.acquired) == (401, "InvalidAuthenticationToken", 2)


def test_threads_share_one_token(azure: Simulator, make_graph: Callable[..., Graph]) -> None:
    azure.reset(users=3)
    source = IssuedTokens(azure)
    graph = make_graph(tokens=Tokens(source))
    threads = [threading.Thread(target=graph.page, args=(URL,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (source.acquired, asked(azure)) == (1, [200] * 8)


def test_a_request_says_what_it_takes_and_who_it_is(azure: Simulator, make_graph: Callable[..., Graph]) -> None:
    make_graph(headers={"x-ms-throttle-priority": "low"}).page(URL)
    headers = azure.requests[0].headers
    assert {name: value for name, value in headers.items() if value is not None} == {
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": "entra-users",
        "x-ms-throttle-priority": "low",
    }
    assert "authorization" in headers
