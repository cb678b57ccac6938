"""Runs at chosen times, made by the app's own code on a clock that is set."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import count

from entra_users.connection import connect_store, connect_sync
from entra_users.jobs import start_run
from entra_users.settings import Settings
from entra_users.sync import Sync

TICK = timedelta(seconds=2)
"""How much later it is each time that a run looks at the clock."""


def runner(environment: Mapping[str, str]) -> Callable[[datetime], None]:
    """What makes a run that begins at a given time, with the settings of this environment."""
    settings = Settings.read(environment)
    store, sync = connect_store(settings), connect_sync(settings)

    def run(at: datetime) -> None:
        start = start_run(store, settings.users_select, now=at, suffix="00000000")
        ticks = count()
        Sync(sync.graph, store, sync._options, now=lambda: at + next(ticks) * TICK).run(start)

    return run
