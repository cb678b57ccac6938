"""Every measurement, on tiny directories and in one round: it measures what it says, whatever the figures are."""

import re
from pathlib import Path

import pytest

from bench import growing, lanes, packaging, reading, starting, storing, workers
from bench.__main__ import MEASUREMENTS, main
from bench.figures import Table
from bench.options import Options


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Two thousand users, or as few as a measurement takes."""
    return Options(folder=tmp_path, scale=0.0, most_rounds=1, latency=0.0)


def lines(table: Table) -> list[str]:
    """What a table has figures of."""
    return [figure.name for figure in table.figures]


def test_import_and_cold_start_stand_beside_the_bare_calls(options: Options) -> None:
    imports, starts = starting.measure(options)
    assert lines(imports)[:2] == ["CPU, import azure.functions", "CPU, import function_app"]
    assert lines(starts)[:2] == ["time, the same calls, same SDKs", "time, python -m entra_users users"]
    assert [figure.verdict for figure in (*imports.figures, *starts.figures) if figure.target] != []


def test_every_reader_stands_beside_the_loop_that_throws_the_pages_away(options: Options) -> None:
    (pages,) = reading.measure(options)
    assert lines(pages) == [
        "requests, bodies thrown away",
        "requests, response.json()",
        "users --all --format ndjson",
        "sync, full, to a folder",
        "GET /api/users?$top=999, worker",
    ]
    assert [figure.base for figure in pages.figures] == [None, *[pages.figures[0]] * 4]


def test_runs_that_store_are_full_incremental_and_unchanged(options: Options) -> None:
    memory, full, incremental, unchanged = storing.measure(options)
    assert len(memory.figures) == 8
    assert len(full.figures) == 4
    assert incremental.notes == ["users      2,000; 200 added, 600 updated, 200 removed"]
    asked, written = unchanged.figures[:2]
    assert (asked.values, written.values) == ([1], [0])


def test_lanes_read_the_same_users_with_the_same_requests(options: Options) -> None:
    few, many = lanes.measure(options)
    assert lines(few) == ["1 lane", "8 lanes", "16 lanes"]
    assert len({note.partition(";")[2].partition(", CPU")[0] for note in few.notes}) == 1
    assert lines(many) == ["SYNC_LANES=16 SYNC_PARTITION_USERS=5000", "SYNC_LANES=24 SYNC_PARTITION_USERS=8000"]


def test_workers_share_one_run_over_the_queue(options: Options) -> None:
    (table,) = workers.measure(options)
    assert lines(table)[:3] == ["1 worker, users a second", "2 workers, users a second", "4 workers, users a second"]
    (asked,) = {note.partition(": ")[2] for note in table.notes[1:]}
    assert re.fullmatch(r"\d\d partitions, (\d+) requests, \1 resource units, 0 retries", asked)


def test_growth_is_told_as_an_exponent() -> None:
    assert growing.exponent([10, 100, 1000], [3, 30, 300]) == pytest.approx(1.0)
    assert growing.exponent([10, 100, 1000], [7, 7, 7]) == pytest.approx(0.0)
    assert growing.exponent([10, 1000], [1, 10]) == pytest.approx(0.5)


def test_growth_is_of_full_runs(options: Options) -> None:
    (table,) = growing.measure(options, [2_000, 2_000])
    requests = [figure.values for figure in table.figures if figure.name == "requests, 2,000 users"]
    assert requests == [[5], [5]]  # the delta link, the count, and three pages


def test_a_package_is_weighed_file_by_file(options: Options, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "lib").mkdir(parents=True)
    (package / "lib" / "large").write_bytes(bytes(61_000_000))
    (package / "small").write_bytes(b"x")
    size = next(packaging.tables(options, package))
    assert [(figure.name, figure.values[0], figure.verdict) for figure in size.figures] == [
        ("unzipped", 61.000001, "MISS"),
        ("files", 2, ""),
    ]


def test_what_is_not_measured_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["start", "everything"])
    assert ended.value.code == 2
    assert f"there is no measurement 'everything': choose from {', '.join(MEASUREMENTS)}" in capsys.readouterr().err


def test_a_miss_is_told_and_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--scale", "0", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "All numbers of users are 0.0 of those that the targets are about." in said
    assert " of 2 targets met, in " in said
