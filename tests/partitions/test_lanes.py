"""Lanes do all the work there is, and end together: at an error, and when nobody takes any more."""

import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entra_users.errors import RunFailed, Unavailable
from entra_users.lanes import Sleep, in_lanes, read_in_lanes

LONG = 3600.0
"""Seconds that no test waits for: lanes are ended instead."""


def _generator[T](items: Iterator[T]) -> Generator[T]:
    """The same items, known to be a generator, which can be closed."""
    assert isinstance(items, Generator)
    return items


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@settings(max_examples=50)
@given(numbers=st.lists(st.integers(0, 50), unique=True, max_size=30), lanes=st.integers(1, 5))
def test_the_work_is_done_once_for_every_number(numbers: list[int], lanes: int) -> None:
    done: list[int] = []

    def work(number: int, sleep: Sleep) -> None:
        sleep(0)
        done.append(number)

    in_lanes(work, numbers, lanes=lanes)
    assert Counter(done) == Counter(numbers)


def test_as_many_lanes_work_at_once_as_were_asked_for() -> None:
    together = threading.Barrier(3, timeout=30)
    in_lanes(lambda _number, _sleep: together.wait(), range(6), lanes=3)
    assert not together.broken


def test_the_first_error_ends_those_who_wait_and_keeps_the_rest_from_beginning() -> None:
    begun: list[int] = []
    together = threading.Barrier(2, timeout=30)

    def work(number: int, sleep: Sleep) -> None:
        begun.append(number)
        if number < 2:
            together.wait()
        if number == 0:
            raise Unavailable("the first")
        sleep(LONG)

    with pytest.raises(Unavailable, match="the first"):
        in_lanes(work, range(10), lanes=2)
    # The lane that failed may have taken one more number before it was told to stop.
    assert sorted(begun) in ([0, 1], [0, 1, 2])


def test_lanes_end_where_they_wait_when_they_are_told_to_stop() -> None:
    stop = threading.Event()

    def work(number: int, sleep: Sleep) -> None:
        if number == 1:
            stop.set()
        sleep(LONG)

    with pytest.raises(RunFailed, match="nobody wants the rest"):
        in_lanes(work, range(2), lanes=2, stop=stop)


def test_a_lane_that_goes_on_after_the_first_error_ends_at_its_next_page() -> None:
    failed, told = threading.Event(), list[str]()

    def work(number: int, sleep: Sleep) -> None:
        if number == 0:
            failed.set()
            raise Unavailable("the first")
        failed.wait()
        try:
            while True:
                sleep(0)
        except RunFailed as error:
            told.append(str(error))
            raise

    with pytest.raises(Unavailable, match="the first"):
        in_lanes(work, range(2), lanes=2)
    assert told == ["Stopped, since another partition failed or nobody wants the rest."]


@settings(max_examples=50)
@given(items=st.lists(st.integers(0, 9), max_size=12), lanes=st.integers(1, 4))
def test_all_that_is_read_is_given_once(items: Sequence[int], lanes: int) -> None:
    def read(number: int, sleep: Sleep) -> Iterator[tuple[int, int]]:
        return ((number, item) for item in range(items[number]))

    given_ = list(read_in_lanes(read, range(len(items)), lanes=lanes))
    assert sorted(given_) == [(number, item) for number, count in enumerate(items) for item in range(count)]
    for number, count in enumerate(items):
        assert [item for lane, item in given_ if lane == number] == list(range(count))


def test_no_more_than_two_items_a_lane_are_held_ready() -> None:
    lock, produced = threading.Lock(), 0

    def read(number: int, sleep: Sleep) -> Iterator[int]:
        nonlocal produced
        for item in range(50):
            with lock:
                produced += 1
            yield item

    ahead: list[int] = []
    for taken, _ in enumerate(read_in_lanes(read, range(6), lanes=3), 1):
        with lock:
            ahead.append(produced - taken)
    # Beside those held ready, each lane may have one in its hands.
    assert max(ahead) <= 3 * (2 + 1)
    assert produced == 300


def test_what_was_read_before_an_error_is_given_and_then_the_error() -> None:
    taken = threading.Event()

    def read(number: int, sleep: Sleep) -> Iterator[int]:
        if number == 0:
            yield 7
            taken.wait()
            raise Unavailable("the first")
        sleep(LONG)

    items = read_in_lanes(read, range(2), lanes=2)
    assert next(items) == 7
    taken.set()
    with pytest.raises(Unavailable, match="the first"):
        next(items)


@pytest.mark.parametrize("taken", [1, 5])
def test_who_stops_taking_ends_all_lanes(taken: int) -> None:
    ended: list[int] = []

    def read(number: int, sleep: Sleep) -> Iterator[int]:
        try:
            while True:
                yield number
        finally:
            ended.append(number)

    with closing(_generator(read_in_lanes(read, range(3), lanes=3))) as items:
        assert {next(items) for _ in range(taken)} <= {0, 1, 2}
    # A lane that the end overtook never began.
    assert ended
    assert len(ended) == len(set(ended))


def test_who_stops_taking_ends_lanes_that_wait_for_graph() -> None:
    def read(number: int, sleep: Sleep) -> Iterator[int]:
        yield number
        sleep(LONG)

    with closing(_generator(read_in_lanes(read, range(3), lanes=3))) as items:
        assert {next(items) for _ in range(3)} == {0, 1, 2}


def test_no_lane_begins_before_the_first_item_is_asked_for() -> None:
    begun: list[int] = []

    def read(number: int, sleep: Sleep) -> Iterator[int]:
        begun.append(number)
        yield number

    items = read_in_lanes(read, range(3), lanes=3)
    assert begun == []
    assert sorted(items) == [0, 1, 2]
    assert sorted(begun) == [0, 1, 2]


def test_an_interruption_of_one_lane_reaches_who_takes_the_items() -> None:
    def read(number: int, sleep: Sleep) -> Iterator[int]:
        yield from ()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(read_in_lanes(read, range(2), lanes=2))
