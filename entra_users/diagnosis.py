"""The check of every link between the app and its users, in order: which holds, which does not, and what to do."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from entra_users import links, links_store, remedies
from entra_users.errors import EntraUsersError, SettingsError
from entra_users.links import Finding
from entra_users.settings import Settings

type State = Literal["ok", "warning", "failed", "not reached"]

PATIENCE = 20.0
"""Seconds that a link to Graph may take, retries included."""


class Link(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One link of the chain."""

    name: str
    state: State
    seconds: float
    detail: str
    """What was seen: no secret, and nothing about any one user."""
    meaning: str = ""
    who: str = ""
    remedy: str = ""
    """What is to be done, where something is; `meaning` says about what, and `who` by whom."""
    code: str | None = None
    """The service's own code of the error, or that of the warning."""
    request_id: str | None = None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All links, and the worst that can be said of them."""

    status: State
    at: datetime
    credential: str = ""
    cloud: str = ""
    tenant: str = ""
    app: str = ""
    links: list[Link]


NAMES = (
    "settings",
    "managed identity",
    "Key Vault",
    "token",
    "permissions",
    "users",
    "count",
    "changes",
    "advanced queries",
    "store",
    "snapshot",
)
"""The links in their order; there is no Key Vault where the credential needs none."""


def diagnose(
    settings: Settings,
    *,
    patience: float = PATIENCE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.monotonic,
) -> Diagnosis:
    """Check every link: nothing is read but one user, nothing written but an object that is removed again.

    It acquires a token of its own, so that it tells what holds now. Links that need a failed one are not reached.

    Args:
        settings: of the app.
        patience: seconds that a link to Graph may take, and no more than HTTP_BUDGET_SECONDS.
        now: the time, aware UTC.
        clock: seconds that only ever grow.
    """
    chain = _Chain(remedies.facts(settings), clock)
    budget = min(patience, settings.http_budget_seconds)
    store = chain.link("settings", settings, links.read_settings)
    credential = chain.link("managed identity", settings if store else None, links.reach_identity)
    if settings.graph_credential in ("secret", "certificate"):
        credential = chain.link("Key Vault", credential, lambda given: links.read_credential(given, now()))
    token = chain.link("token", credential, lambda given: links.acquire_token(given, now()))
    token = chain.link("permissions", token, lambda given: links.read_permissions(settings, given))
    graph = chain.link("users", token, lambda given: links.read_one_user(settings, given, budget))
    chain.link("count", graph, links.count)
    chain.link("changes", graph, lambda given: links.read_changes(settings, given))
    chain.link("advanced queries", graph, links.query_advanced)
    store = chain.link("store", store, links_store.try_store)
    chain.link("snapshot", store, lambda given: links_store.read_snapshot(settings, given, now()))
    return Diagnosis(
        status=chain.worst,
        at=now(),
        credential=settings.graph_credential,
        cloud=settings.graph_cloud,
        tenant=settings.graph_tenant_id,
        app=settings.graph_client_id,
        links=chain.links,
    )


def wrong_settings(error: SettingsError, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Diagnosis:
    """The diagnosis where the settings cannot be read: every fault is told, and no other link is reached."""
    chain = _Chain({}, lambda: 0.0)

    def fail(_: object) -> Finding[None]:
        raise error

    reached = chain.link(NAMES[0], chain, fail)
    for name in NAMES[1:]:
        chain.link(name, reached, fail)
    return Diagnosis(status=chain.worst, at=now(), links=chain.links)


class _Chain:
    """Checks one link after another, and keeps what was found."""

    def __init__(self, known: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.links: list[Link] = []
        self._known = known
        self._clock = clock

    @property
    def worst(self) -> State:
        """The worst of the links so far."""
        found = {link.state for link in self.links}
        return "failed" if "failed" in found else "warning" if "warning" in found else "ok"

    def link[N, T](self, name: str, needed: N | None, check: Callable[[N], Finding[T]]) -> T | None:
        """Check a link with what an earlier one gave; what it gives itself, or None where it does not hold."""
        if needed is None:
            self.links.append(Link(name=name, state="not reached", seconds=0.0, detail="needs a link that failed"))
            return None
        started = self._clock()
        value = remedy = request_id = None
        state: State = "ok"
        try:
            finding = check(needed)
        except EntraUsersError as error:
            state, detail, code, request_id = "failed", str(error), error.code, error.request_id
            remedy = remedies.remedy_for(error, self._known)
        else:
            value, detail, code = finding.value, finding.found, finding.concern or None
            if code is not None:
                state, remedy = "warning", remedies.remedy_named(code, self._known)
        link = Link(
            name=name,
            state=state,
            seconds=round(self._clock() - started, 3),
            detail=detail,
            code=code,
            request_id=request_id,
        )
        if remedy is not None:
            link = msgspec.structs.replace(link, meaning=remedy.meaning, who=remedy.who, remedy=remedy.how)
        self.links.append(link)
        return value
