"""A run: plan, export, publish; or only the changes since the last run. What knows both Graph and store is here.

Everything a run has done is in the store, so that a run which was killed goes on from there, on any machine.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from entra_users import telemetry
from entra_users.delta import latest_link
from entra_users.errors import BadQuery, EntraUsersError, ResyncRequired, RunFailed, RunInProgress
from entra_users.export import export_partition
from entra_users.follow import follow, is_followed
from entra_users.graph import Graph
from entra_users.guards import check_count, check_shrink
from entra_users.lanes import Sleep, in_lanes
from entra_users.merge import Outcome
from entra_users.outcomes import usage_of
from entra_users.partitions import count_users, plan_partitions
from entra_users.publishing import publish_manifest, while_published, write_changes, write_csv
from entra_users.runs import find_record, forget_run, next_run, receipts_of
from entra_users.snapshot import (
    File,
    Manifest,
    Part,
    Plan,
    Receipt,
    Record,
    Start,
    create_record,
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
            RunInProgress: a run that was asked for later has published.
            EntraUsersError: as Graph and store; the published snapshot is untouched.
        """
        manifest, etag = read_manifest(self._store)
        if (record := self._published(manifest, start.run)) is not None:
            return record
        if manifest is not None and start.run < manifest.last_run:
            # Ids sort in the order of publishing: that is what `since` goes by.
            raise RunInProgress(f"Run {manifest.last_run} was asked for later than {start.run}, and has published.")
        if (plan := read_record(self._store, f"runs/{start.run}/plan.json", Plan)) is not None:
            return plan
        reason = None if is_followed(self._store, start.run) else self._why_full(manifest, start)
        if reason is None and manifest is not None:
            try:
                with telemetry.span("follow", start.run), while_published(self._store, etag):
                    return self._follow(start, manifest, etag)
            except ResyncRequired as error:
                reason = f"Graph no longer tells the changes since the last run ({error.code or error.status})"
        with telemetry.span("plan", start.run):
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
        with telemetry.span("publish", plan.run):
            return self._publish_parts(plan, force=force)

    def _publish_parts(self, plan: Plan, *, force: bool) -> Record:
        # Before the manifest: once it names this run, receipts are removed.
        receipts = receipts_of(self._store, plan.run)
        manifest, etag = read_manifest(self._store)
        if (record := self._published(manifest, plan.run)) is not None:
            return record
        if (manifest and manifest.run) != plan.base or (manifest and plan.run < manifest.last_run):
            raise RunInProgress(f"Another run published while {plan.run} was reading; its snapshot stands.")
        if missing := [each.number for each in plan.partitions if each.number not in receipts]:
            raise RunFailed(f"Partition {missing[0]} of run {plan.run} is not exported yet.")
        done = [receipts[each.number] for each in plan.partitions]
        parts = [each.part for each in done]
        users = sum(part.file.lines for part in parts)
        after = None if plan.users is None else count_users(self.graph)
        check_count(users, before=plan.users, after=after, tolerance=self._options.count_tolerance)
        self._check_shrink(manifest, users, force=force)
        outcome, changes, notes = Outcome(added=users), None, plan.notes
        if manifest is not None:
            outcome, changes = write_changes(self._store, plan.run, manifest, parts)
            if changes is None:
                notes = [*notes, f"The snapshot of run {manifest.run} was damaged: what changed since is not known."]
        record = Record(
            run=plan.run,
            mode="full",
            reason=plan.reason,
            started_at=plan.at,
            ended_at=self._now(),
            users=users,
            added=outcome.added,
            updated=outcome.updated,
            removed=outcome.removed,
            partitions=len(parts),
            usage=usage_of(plan, done),
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
            notes=notes,
            # Who has read what was damaged reads everything anew.
            changes_since=manifest.changes_since if manifest and changes else plan.run,
            history=[*(manifest.history if manifest else []), record],
            delta_link=plan.delta_link,
        )
        self._publish(published, manifest, etag)
        self._catch_up(plan)
        return record

    def _published(self, manifest: Manifest | None, run: str) -> Record | None:
        """The record of a run that has published, which then may have been killed before it tidied up."""
        record = find_record(manifest, run)
        if record is not None:
            forget_run(self._store, run)
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
        notes += planned.undivided
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
        self._publish(new, manifest, etag)
        return record

    def _catch_up(self, plan: Plan) -> None:
        """Apply what changed while a full run was reading; the next run does where this one cannot."""
        if plan.delta_link is None:
            return
        now = self._now()
        try:
            manifest, etag = read_manifest(self._store)
            if manifest is not None and manifest.run == plan.run:
                with telemetry.span("follow", plan.run):
                    self._follow(Start(run=next_run(manifest, now, "catchup"), at=now), manifest, etag)
        except EntraUsersError as error:
            logger.warning("The changes during run %s wait for the next run: %s", plan.run, error)

    def _check_shrink(self, manifest: Manifest | None, users: int, *, force: bool) -> None:
        if manifest is not None:
            check_shrink(users, before=manifest.users, most=self._options.max_shrink, force=force)

    def _csv(self, run: str, select: list[str], parts: list[Part]) -> File | None:
        return write_csv(self._store, run, select, parts) if "csv" in self._options.formats else None

    def _publish(self, manifest: Manifest, before: Manifest | None, etag: str | None) -> None:
        options = self._options
        publish_manifest(
            self._store,
            manifest,
            before,
            etag,
            keep=options.keep,
            changes_days=options.changes_days,
            now=self._now(),
        )
