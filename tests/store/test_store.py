"""What every store promises, on a folder and on Azure Storage's emulator."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import override

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from entra_users.errors import ObjectChanged, ObjectNotFound, StoreError
from entra_users.store import Store, Stored

MEGABYTE = 1024 * 1024
# The store of a test is the same for all examples: each writes under a name of its own, or removes what it wrote.
EXAMPLES = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEGMENT = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?", fullmatch=True).filter(
    lambda segment: segment[:3] not in {"con", "prn", "aux", "nul", "com", "lpt"}
)
NAME = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


def write(store: Store, name: str, data: bytes, *, replace: bool = False) -> None:
    with store.create(name, replace=replace) as writer:
        writer.write(data)


def break_off(store: Store, name: str, *, replace: bool = False) -> None:
    with store.create(name, replace=replace) as writer:
        writer.write(b"a" * 5 * MEGABYTE)
        raise ZeroDivisionError


def read(store: Store, name: str) -> bytes:
    with store.open(name) as stream:
        return stream.read()


def numbered(megabytes: int) -> bytes:
    """So many megabytes of which no two places look the same."""
    return b"".join(number.to_bytes(8) for number in range(megabytes * MEGABYTE // 8))


def test_a_store_nobody_wrote_to_has_no_objects(store: Store) -> None:
    assert store.names() == []
    with pytest.raises(ObjectNotFound):
        store.read("latest.json")
    with pytest.raises(ObjectNotFound), store.open("latest.json"):
        pass


def test_a_swapped_object_is_read_with_the_etag_that_the_swap_returned(store: Store) -> None:
    first = store.swap("latest.json", b"first", None)
    assert store.read("latest.json") == Stored(data=b"first", etag=first)
    second = store.swap("latest.json", b"second", first)
    assert store.read("latest.json") == Stored(data=b"second", etag=second)
    assert first != second


def test_a_swap_by_an_outdated_etag_changes_nothing(store: Store) -> None:
    first = store.swap("latest.json", b"first", None)
    second = store.swap("latest.json", b"second", first)
    for outdated in (first, None, "another"):
        with pytest.raises(ObjectChanged):
            store.swap("latest.json", b"third", outdated)
    assert store.read("latest.json") == Stored(data=b"second", etag=second)


def test_a_swap_of_an_object_that_was_removed_does_not_bring_it_back(store: Store) -> None:
    etag = store.swap("latest.json", b"first", None)
    store.delete("latest.json")
    with pytest.raises(ObjectChanged):
        store.swap("latest.json", b"second", etag)
    assert store.names() == []


def test_of_many_swaps_by_one_etag_exactly_one_wins(store: Store) -> None:
    etag = store.swap("latest.json", b"first", None)
    start = threading.Barrier(8)

    def swap(number: int) -> Stored | None:
        data = str(number).encode()
        start.wait()
        try:
            return Stored(data=data, etag=store.swap("latest.json", data, etag))
        except ObjectChanged:
            return None

    with ThreadPoolExecutor(8) as threads:
        won = [outcome for outcome in threads.map(swap, range(8)) if outcome is not None]
    assert won == [store.read("latest.json")]


def test_a_created_object_is_there_when_its_block_ends_and_not_before(store: Store) -> None:
    with store.create("snapshots/1/part-00000.ndjson.gz") as writer:
        writer.write(b"a" * 5 * MEGABYTE)
        writer.write(b"b")
        writer.flush()
        assert store.names() == []
        with pytest.raises(ObjectNotFound):
            store.read("snapshots/1/part-00000.ndjson.gz")
    assert store.names() == ["snapshots/1/part-00000.ndjson.gz"]
    assert store.read("snapshots/1/part-00000.ndjson.gz").data == b"a" * 5 * MEGABYTE + b"b"


def test_an_object_whose_writer_failed_is_not_there(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        break_off(store, "part")
    assert store.names() == []
    with pytest.raises(ObjectNotFound):
        store.read("part")


def test_an_object_whose_second_writer_failed_is_as_it_was(store: Store) -> None:
    write(store, "part", b"first")
    with pytest.raises(ZeroDivisionError):
        break_off(store, "part", replace=True)
    assert read(store, "part") == b"first"


def test_an_object_is_written_once_unless_it_is_to_be_replaced(store: Store) -> None:
    write(store, "part", b"first")
    with pytest.raises(ObjectChanged):
        write(store, "part", b"second")
    assert read(store, "part") == b"first"
    write(store, "part", b"third", replace=True)
    assert read(store, "part") == b"third"


def test_two_writers_of_one_name_never_mix(store: Store) -> None:
    finished: list[bytes] = []
    first, second = b"a" * 6 * MEGABYTE, b"b" * 5 * MEGABYTE
    with suppress(ObjectChanged):  # a store may let the one that ends first win
        with store.create("part", replace=True) as slow:
            slow.write(first)
            write(store, "part", second, replace=True)
            finished.append(second)
        finished.append(first)
    assert read(store, "part") == finished[-1]


@given(writes=st.lists(st.binary(max_size=200), max_size=5))
@EXAMPLES
def test_an_object_is_the_sum_of_its_writes(store: Store, writes: list[bytes]) -> None:
    with store.create("part", replace=True) as writer:
        for data in writes:
            writer.write(data)
    assert store.read("part").data == read(store, "part") == b"".join(writes)


def test_a_stream_gives_any_piece_that_is_asked_for(store: Store) -> None:
    data = numbered(9)
    write(store, "part", data)
    with store.open("part") as stream:
        pieces = [stream.read(size) for size in (1, 0, 5 * MEGABYTE, 3, 100)]
        pieces += [stream.readline(), stream.read()]
        assert stream.read(1) == b""
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces[:5]] == [1, 0, 5 * MEGABYTE, 3, 100]


def test_a_stream_of_an_object_that_is_written_anew_is_the_old_one_or_an_error(store: Store) -> None:
    old = numbered(9)
    write(store, "part", old)
    with store.open("part") as stream:
        begin = stream.read(MEGABYTE)
        write(store, "part", bytes(len(old)), replace=True)
        try:
            got = begin + stream.read()
        except ObjectChanged:
            got = old
    assert got == old


def test_a_larger_object_takes_no_more_memory(store: Store) -> None:
    piece = bytes(MEGABYTE)

    def peak(megabytes: int) -> int:
        tracemalloc.start()
        try:
            with store.create("part", replace=True) as writer:
                for _ in range(megabytes):
                    writer.write(piece)
            with store.open("part") as stream:
                while stream.read(MEGABYTE):
                    pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(60) < peak(15) * 1.1


@given(names=st.sets(NAME, max_size=6), prefix=NAME)
@EXAMPLES
def test_names_are_those_that_begin_with_the_prefix_in_order(store: Store, names: set[str], prefix: str) -> None:
    # What stands in a folder's way to be a folder is a limit of file systems, which no layout here needs.
    names = {name for name in names if not any(other.startswith(f"{name}/") for other in names)}
    for name in names:
        write(store, name, b"")
    try:
        assert store.names() == sorted(names)
        for start in (prefix, prefix[0], f"{prefix}/", *names):
            assert store.names(start) == sorted(name for name in names if name.startswith(start))
    finally:
        for name in names:
            store.delete(name)
    assert store.names() == []


def test_a_removed_object_is_gone_and_removing_it_again_is_no_error(store: Store) -> None:
    write(store, "runs/1/plan.json", b"")
    write(store, "runs/2/plan.json", b"")
    store.delete("runs/1/plan.json")
    store.delete("runs/1/plan.json")
    assert store.names() == ["runs/2/plan.json"]


BAD_NAMES = [
    "",
    "/",
    "/etc/passwd",
    "../latest.json",
    "runs/../../latest.json",
    "runs//plan.json",
    "runs/./plan.json",
    "runs/",
    ".partial",
    "runs/.hidden",
    "C:/latest.json",
    "runs\\plan.json",
    "latest.json\0",
    "latest.json\n",
    "latest.json.",
    "a b",
    "é",
    "%2e%2e",
    "a?b",
    "a#b",
    "nul",
    "runs/CON.json",
    "a" * 121,
    "a/" * 8 + "a",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_some_store_could_take_for_something_else_is_refused_everywhere(store: Store, name: str) -> None:
    def create() -> None:
        with store.create(name) as writer:
            writer.write(b"")

    def stream() -> None:
        with store.open(name):
            pass

    for action in (
        lambda: store.read(name),
        lambda: store.swap(name, b"", None),
        lambda: store.delete(name),
        lambda: store.link(name, 60),
        create,
        stream,
    ):
        with pytest.raises(StoreError, match="cannot be the name") as caught:
            action()
        assert type(caught.value) is StoreError
    assert store.names() == []


@pytest.mark.parametrize("prefix", ["/", "../", "runs//", ".partial/", "runs/../", "a b", "\0"])
def test_a_prefix_that_no_name_begins_with_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(StoreError, match="cannot be the beginning"):
        store.names(prefix)


class Model(RuleBasedStateMachine):
    """A dict beside a store: whatever is done to both, both hold the same."""

    NAMES = st.sampled_from(["latest.json", "runs/1/plan.json", "runs/2/plan.json"])
    DATA = st.binary(max_size=20)

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}

    @rule(name=NAMES)
    def read(self, name: str) -> None:
        if name in self.objects:
            stored = self.store.read(name)
            assert stored.data == self.objects[name]
            assert stored.etag == self.etags.get(name, stored.etag)
            self.etags[name] = stored.etag
        else:
            with pytest.raises(ObjectNotFound):
                self.store.read(name)

    @rule(name=NAMES, data=DATA, current=st.booleans())
    def swap(self, name: str, data: bytes, current: bool) -> None:
        etag = self.etags.get(name) if current else "outdated"
        if current and (name in self.objects) == (etag is not None):
            self.etags[name] = self.store.swap(name, data, etag)
            self.objects[name] = data
        else:
            with pytest.raises(ObjectChanged):
                self.store.swap(name, data, etag)

    @rule(name=NAMES, data=DATA, replace=st.booleans())
    def create(self, name: str, data: bytes, replace: bool) -> None:
        if name in self.objects and not replace:
            with pytest.raises(ObjectChanged):
                write(self.store, name, data)
        else:
            write(self.store, name, data, replace=replace)
            self.objects[name] = data
            self.etags.pop(name, None)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.store.delete(name)
        self.objects.pop(name, None)
        self.etags.pop(name, None)

    @invariant()
    def same_names(self) -> None:
        assert self.store.names() == sorted(self.objects)

    @override
    def teardown(self) -> None:
        for name in self.objects:
            self.store.delete(name)


def test_a_store_is_a_dict_of_bytes(store: Store) -> None:
    class Bound(Model):
        def __init__(self) -> None:
            super().__init__(store)

    run_state_machine_as_test(Bound, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))
