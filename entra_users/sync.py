"""A run: plan, export, publish; or only the changes since the last run. What knows both Graph and store is here.

Everything a run has done is in the store, so that a run which was killed goes on from there, on any machine.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from entra_users.delta import latest_link
from entra_users.errors import (
    BadQuery,
    EntraUsersError,
    ObjectChanged,
    ResyncRequired,
    RunFailed,
    RunInProgress,
)
from entra_users.export import export_partition
from entra_users.follow import follow
from entra_users.formats import csv_lines, csv_rows
from entra_users.graph import Graph
from entra_users.guards import check_count, check_shrink
from entra_users.lanes import Sleep, in_lanes
from entra_users.merge import Outcome, compare
from entra_users.partitions import count_users, plan_partitions
from entra_users.parts import read_lines, write_file
from entra_users.retention import keep_history, prune
from entra_users.runs import find_record, forget_run, receipts_of
from entra_users.snapshot import (
    LATEST,
    File,
    Manifest,
    Part,
    Plan,
    Receipt,
    Record,
    Start,
    create_record,
    encode,
    new_run,
    read_manifest,
    read_record,
)
from entra_users.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to sync; README.md describes each setting behind them."""

    select: tuple[str, ...]
    lanes: int
    partition_users: int
    count_tolerance: float
    max_shrink: float
    full_days: int
    formats: tuple[str, ...]
    keep: int
    changes_days: int


class Sync:
    """Keeps a stored directory equal to Graph's.

    Args:
        graph: to read from.
        store: to write to.
        options: how.
        now: the time, aware UTC.
    """

    def __init__(
        self,
        graph: Graph,
        store: Store,
        options: Options,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.graph = graph
        self._store = store
        self._options = options
        self._now = now

    def run(self, start: Start) -> Record:
        """A whole run in this process: the partitions of a full run are read by `options.lanes` threads.

        Raises:
            SyncError: the run ended without publishing.
            EntraUsersError: as Graph and store; the published snapshot is untouched.
        """
        begun = self.begin(start)
        if isinstance(begun, Record):
            return begun
        self.export_all(begun)
        return self.publish(begun, force=start.force)

    def begin(self, start: Start) -> Plan | Record:
        """Bring the snapshot up to date by the changes since the last run, or plan a full run where that cannot be.

        A run that was begun before is not begun again: its plan, or its record, is given as it is.

        Raises:
            EntraUsersError: as Graph and store; the published snapshot is untouched.
        """
        if (plan := read_record(self._store, f"runs/{start.run}/plan.json", Plan)) is not None:
            return plan
        manifest, etag = read_manifest(self._store)
        if manifest is not None and (record := find_record(manifest, start.run)) is not None:
            return record
        reason = self._why_full(manifest, start)
        if reason is None and manifest is not None:
            try:
                return self._follow(start, manifest, etag)
            except ResyncRequired as error:
                reason = f"Graph no longer tells the changes since the last run ({error.code or error.status})"
        return self._plan(start, manifest, str(reason))

    def export(self, plan: Plan, number: int) -> Receipt:
        """Export one partition, unless it is exported already.

        Raises:
            EntraUsersError: as `export_partition`.
        """
        return export_partition(self.graph, self._store, plan, number, now=self._now)

    def export_all(self, plan: Plan, progress: Callable[[int], None] | None = None) -> None:
        """Export, with threads, every partition that is not exported yet; the first that fails ends them all.

        Args:
            plan: of the run.
            progress: told of every page of users that was stored, by their number; from several threads.

        Raises:
            EntraUsersError: as `export_partition`.
        """
        done = receipts_of(self._store, plan.run)
        missing = [each.number for each in plan.partitions if each.number not in done]

        def export(number: int, sleep: Sleep) -> None:
            export_partition(self.graph, self._store, plan, number, progress=progress, sleep=sleep, now=self._now)

        in_lanes(export, missing, lanes=self._options.lanes)

    def publish(self, plan: Plan, *, force: bool = False) -> Record:
        """Make the exported partitions the snapshot, if they are the whole directory, and apply what changed meanwhile.

        Raises:
            IncompleteDirectory: there are fewer or more users than Graph counts.
            ShrinkRefused: there are far fewer than before.
            RunInProgress: another run has published since this one was planned.
            RunFailed: a partition is not exported.
            EntraUsersError: as Graph and store; the published snapshot is untouched.
        """
        manifest, etag = read_manifest(self._store)
        if manifest is not None and (record := find_record(manifest, plan.run)) is not None:
            return record
        receipts = receipts_of(self._store, plan.run)
        if missing := [each.number for each in plan.partitions if each.number not in receipts]:
            raise RunFailed(f"Partition {missing[0]} of run {plan.run} is not exported yet.")
        if (manifest and manifest.run) != plan.base:
            raise RunInProgress(f"Another run published while {plan.run} was reading; its snapshot stands.")
        done = [receipts[each.number] for each in plan.partitions]
        parts = [each.part for each in done]
        users = sum(part.file.lines for part in parts)
        after = None if plan.users is None else count_users(self.graph)
        check_count(users, before=plan.users, after=after, tolerance=self._options.count_tolerance)
        self._check_shrink(manifest, users, force=force)
        outcome, changes = Outcome(parts=parts), None
        if manifest is not None:
            outcome = Outcome()
            changes = write_file(
                self._store,
                f"snapshots/{plan.run}/changes.ndjson.gz",
                compare(self._store, manifest.parts, parts, outcome),
            )
        record = Record(
            run=plan.run,
            mode="full",
            reason=plan.reason,
            started_at=plan.at,
            ended_at=self._now(),
            users=users,
            added=outcome.added if manifest else users,
            updated=outcome.updated,
            removed=outcome.removed,
            partitions=len(parts),
            usage=sum((each.usage for each in done), plan.usage),
            changes=changes,
        )
        published = Manifest(
            run=plan.run,
            published_at=record.ended_at,
            checked_at=record.ended_at,
            full_at=plan.at,
            select=plan.select,
            users=users,
            counted=plan.users,
            parts=parts,
            csv=self._csv(plan.run, plan.select, parts),
            notes=plan.notes,
            changes_since=manifest.changes_since if manifest else plan.run,
            history=[*(manifest.history if manifest else []), record],
            delta_link=plan.delta_link,
        )
        self._publish(published, etag)
        self._catch_up(plan)
        return record

    def _why_full(self, manifest: Manifest | None, start: Start) -> str | None:
        if manifest is None:
            return "there is no snapshot yet"
        if start.full:
            return "a full run was asked for"
        if manifest.select != list(self._options.select):
            return "USERS_SELECT changed"
        if manifest.delta_link is None:
            return "this tenant has no delta queries"
        if self._now() - manifest.full_at > timedelta(days=self._options.full_days):
            return f"the last full run is older than FULL_SYNC_DAYS ({self._options.full_days})"
        return None

    def _plan(self, start: Start, manifest: Manifest | None, reason: str) -> Plan:
        lane, began, select = self.graph.lane(), self._now(), list(self._options.select)
        notes: list[str] = []
        try:
            # Before the first user is read, so that no change from then on is missed.
            delta_link = latest_link(lane, select)
        except BadQuery as error:
            delta_link = None
            notes.append(f"Graph has no delta queries here ({error.code}): every run is a full run.")
        with ThreadPoolExecutor(self._options.lanes) as pool:
            planned = plan_partitions(lane, self._options.partition_users, each=pool.map)
        notes += [planned.single_lane] if planned.single_lane else []
        plan = Plan(
            run=start.run,
            at=began,
            reason=reason,
            base=manifest.run if manifest else None,
            select=select,
            partitions=planned.partitions,
            users=planned.users,
            delta_link=delta_link,
            notes=notes,
            usage=lane.usage,
        )
        name = f"runs/{start.run}/plan.json"
        if not create_record(self._store, name, plan):
            # The same run was planned twice at once; both go by the plan that was there first.
            plan = read_record(self._store, name, Plan) or plan
        return plan

    def _follow(self, start: Start, manifest: Manifest, etag: str | None) -> Record:
        """Apply the changes since the manifest's delta link; without any, only the manifest is written."""
        lane, began = self.graph.lane(), self._now()
        followed = follow(lane, self._store, start.run, manifest)
        parts, changed = followed.parts, followed.changes is not None
        users = sum(part.file.lines for part in parts)
        self._check_shrink(manifest, users, force=start.force)
        record = Record(
            run=start.run,
            mode="incremental" if changed else "unchanged",
            reason="",
            started_at=began,
            ended_at=self._now(),
            users=users,
            added=followed.added,
            updated=followed.updated,
            removed=followed.removed,
            usage=lane.usage,
            changes=followed.changes,
        )
        new = msgspec.structs.replace(
            manifest,
            checked_at=record.ended_at,
            users=users,
            parts=parts,
            history=[*manifest.history, record],
            delta_link=followed.link,
        )
        if changed:
            csv = self._csv(start.run, manifest.select, parts)
            new = msgspec.structs.replace(new, run=start.run, published_at=record.ended_at, csv=csv)
        self._publish(new, etag, run=start.run)
        return record

    def _catch_up(self, plan: Plan) -> None:
        """Apply what changed while a full run was reading; the next run does where this one cannot."""
        if plan.delta_link is None:
            return
        now = self._now()
        try:
            manifest, etag = read_manifest(self._store)
            if manifest is not None and manifest.run == plan.run:
                self._follow(Start(run=new_run(now, "catchup"), at=now), manifest, etag)
        except EntraUsersError as error:
            logger.warning("The changes during run %s wait for the next run: %s", plan.run, error)

    def _check_shrink(self, manifest: Manifest | None, users: int, *, force: bool) -> None:
        if manifest is not None:
            check_shrink(users, before=manifest.users, most=self._options.max_shrink, force=force)

    def _csv(self, run: str, select: Sequence[str], parts: Sequence[Part]) -> File | None:
        if "csv" not in self._options.formats:
            return None
        rows = (
            csv_rows(map(msgspec.Raw, lines), select) for part in parts for lines in read_lines(self._store, part.file)
        )
        return write_file(self._store, f"snapshots/{run}/users.csv.gz", chain([csv_lines([select])], rows))

    def _publish(self, manifest: Manifest, etag: str | None, *, run: str | None = None) -> None:
        """Swap the manifest, if it is still the one that this run began from; then tidy up."""
        run = run or manifest.run
        if run == manifest.run:
            create_record(self._store, f"snapshots/{run}/manifest.json", manifest)
        manifest = keep_history(manifest, self._now() - timedelta(days=self._options.changes_days))
        try:
            self._store.swap(LATEST, encode(manifest), etag)
        except ObjectChanged as error:
            current, _ = read_manifest(self._store)
            if current is None or find_record(current, run) is None:
                raise RunInProgress("Another run published first; its snapshot stands.") from error
        forget_run(self._store, run)
        prune(self._store, manifest, keep=self._options.keep, now=self._now())
