"""Worker processes: in turn, at once, killed, replaced and stopped."""

import concurrent.futures
import json
import os
import threading
from functools import partial
from pathlib import Path

import pytest
import requests

from simulator.functions import FunctionsHost, LogEntry
from tests.functions_host.small_app import ENVIRONMENT, write_app


def get(host: FunctionsHost, session: requests.Session, path: str) -> requests.Response:
    return session.get(f"{host.url}/api/{path}", headers={"x-functions-key": host.keys.default})


def test_requests_go_to_the_workers_in_turn(app: Path, session: requests.Session) -> None:
    with FunctionsHost(app, workers=2) as host:
        processes = [get(host, session, "process").text for _ in range(4)]
    assert (processes[0], processes[1]) == (processes[2], processes[3])
    assert processes[0] != processes[1]


def test_synchronous_functions_run_at_once_in_one_worker(host: FunctionsHost) -> None:
    """Two requests that wait for each other are both answered.

    https://learn.microsoft.com/en-us/azure/azure-functions/python-scale-performance-reference
    """
    with concurrent.futures.ThreadPoolExecutor(2) as pool, requests.Session() as session:
        session.trust_env = False
        answers = [each.text for each in pool.map(partial(get, host, session), ["together", "together"])]
    assert answers == ["both", "both"]


def test_a_request_whose_worker_dies_is_a_502_and_another_worker_takes_over(
    app: Path, session: requests.Session
) -> None:
    with FunctionsHost(app) as host:
        first = get(host, session, "process").text
        assert get(host, session, "die").status_code == 502
        host.wait_ready()
        second = get(host, session, "process").text
        said = [entry.message for entry in host.logs if entry.category == "Host.Worker"]
    assert first != second
    assert said == ["Worker 0 exited; another is started."]


def test_without_a_worker_the_answer_is_503(tmp_path: Path, session: requests.Session) -> None:
    """An app that does not start a second time: its worker is not replaced, and the log says why."""
    source = (
        "import pathlib\n"
        "pathlib.Path('started').mkdir()\n"
        "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
        "@app.route('a')\n"
        "def a(req: func.HttpRequest) -> str: ...\n"
    )
    given_up = threading.Event()

    def show(entry: LogEntry) -> None:
        if entry.message.startswith("Worker 0 did not start again: FileExistsError"):
            given_up.set()

    with FunctionsHost(write_app(tmp_path, source), ENVIRONMENT, show=show) as host:
        host.kill_worker()
        assert given_up.wait(30)
        assert session.get(f"{host.url}/api/a").status_code == 503


def test_the_other_workers_answer_while_one_is_replaced(app: Path, session: requests.Session) -> None:
    with FunctionsHost(app, workers=2) as host:
        processes = {get(host, session, "process").text for _ in range(2)}
        assert host.kill_worker(1)
        left = {get(host, session, "process").text for _ in range(2)}
    assert len(left) == 1
    assert left < processes


def test_a_message_whose_worker_dies_is_delivered_again_at_once(app: Path) -> None:
    """The attempt counts, as it does when the platform kills an instance."""
    with FunctionsHost(app) as host:
        host.queues.put("work", b"die until 3")
        host.drain()
        facts = [json.loads(message.body) for message in host.queues.peek("seen")]
        assert [fact["attempt"] for fact in facts] == [3]


def test_a_message_that_kills_every_worker_is_poisoned(app: Path) -> None:
    with FunctionsHost(app) as host:
        host.queues.put("work", b"die always")
        host.drain()
        assert (host.queues.count("seen"), host.queues.count("work-poison")) == (0, 1)


def test_a_worker_killed_in_the_middle_of_a_message_loses_nothing(app: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with FunctionsHost(app) as host:
        host.queues.put("work", str(pipe).encode())
        pipe.read_text()
        host.kill_worker()
        # The second run gets as far, and is let go.
        pipe.read_text()
        pipe.write_text("")
        host.drain()
        facts = [json.loads(message.body) for message in host.queues.peek("seen")]
        assert [fact["attempt"] for fact in facts] == [2]


def test_messages_are_spread_over_the_workers(app: Path, tmp_path: Path) -> None:
    """Each takes batches of its own: eight that run at once are more than one worker takes (4 and a threshold of 3)."""
    pipes = [tmp_path / name for name in "abcdefgh"]
    with FunctionsHost(app, {"PYTHON_THREADPOOL_THREAD_COUNT": "8"}, workers=2) as host:
        for pipe in pipes:
            os.mkfifo(pipe)
            host.queues.put("work", str(pipe).encode())
        for pipe in pipes:
            pipe.read_text()
        for pipe in pipes:
            pipe.write_text("")
        host.drain()
        facts = [json.loads(message.body) for message in host.queues.peek("seen")]
    assert len(facts) == 8
    assert len({fact["process"] for fact in facts}) == 2


def test_a_worker_that_is_stopped_ends_normally(app: Path, tmp_path: Path) -> None:
    """So that what runs at exit, such as the writing of coverage data, does run."""
    mark = tmp_path / "mark"
    with FunctionsHost(app, {"EXIT_MARK": str(mark)}):
        assert not mark.exists()
    assert mark.read_text() == "ended normally"


def test_log_records_carry_function_invocation_and_worker(host: FunctionsHost, session: requests.Session) -> None:
    before = len(host.logs)
    assert get(host, session, "log").text == "logged"
    entries = [entry for entry in host.logs[before:] if entry.function == "log"]
    said = [(entry.level, entry.category, entry.message.partition(" (")[0], entry.worker) for entry in entries]
    assert said == [
        ("Information", "Function.log", "Executing 'Functions.log'", None),
        ("Information", "azure.functions", "Function name: log, Function Type: sync", 0),
        ("Warning", "app.part", "one warning", 0),
        ("Information", "root", "and one information", 0),
        ("Information", "Function.log", "Executed 'Functions.log'", None),
    ]
    assert len({entry.invocation for entry in entries}) == 1


def test_what_a_worker_prints_is_in_the_log(tmp_path: Path) -> None:
    source = (
        "print('hello from the import', flush=True)\n"
        "app = func.FunctionApp()\n"
        "@app.route('a')\n"
        "def a(req: func.HttpRequest) -> str: ...\n"
    )
    with FunctionsHost(write_app(tmp_path, source), ENVIRONMENT) as host:
        pass
    assert ("Worker.Output", "hello from the import") in [(entry.category, entry.message) for entry in host.logs]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_process_is_left_behind(app: Path, session: requests.Session, workers: int) -> None:
    with FunctionsHost(app, workers=workers) as host:
        processes = host.pids
        assert {int(get(host, session, "process").text) for _ in processes} == set(processes)
    assert len(processes) == workers
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
