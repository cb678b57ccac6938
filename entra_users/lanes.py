"""Lanes: several threads that read at once, and end together."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from entra_users.errors import RunFailed

type Sleep = Callable[[float], object]
"""Waits so many seconds, 0 included; raises when the lanes are to end."""


def in_lanes(
    work: Callable[[int, Sleep], object], numbers: Iterable[int], *, lanes: int, stop: threading.Event | None = None
) -> None:
    """Do some work for every number, in threads; the first error ends the others at their next page or wait.

    Args:
        work: takes a number, and what to wait with.
        numbers: to work on.
        lanes: how many threads.
        stop: set to end all of them at their next page or wait.

    Raises:
        Exception: the first that `work` raised.
    """
    stop = stop or threading.Event()

    def stoppable_sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise RunFailed("Stopped, since another partition failed or nobody wants the rest.")

    with ThreadPoolExecutor(lanes) as pool:
        futures = [pool.submit(work, number, stoppable_sleep) for number in numbers]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            failed = [future for future in futures if future.done() and future.exception() is not None]
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future in failed:
        future.result()


def read_in_lanes[T](read: Callable[[int, Sleep], Iterable[T]], numbers: Iterable[int], *, lanes: int) -> Iterator[T]:
    """What `read` gives for every number, in the order in which it comes; at most two items a lane are held ready.

    Raises:
        Exception: the first that `read` raised; what was given before is then not the whole.
    """
    ready = queue.SimpleQueue[T | _End]()
    places = threading.Semaphore(2 * lanes)
    closed = threading.Event()

    def work(number: int, sleep: Sleep) -> None:
        for item in read(number, sleep):
            places.acquire()
            sleep(0)
            ready.put(item)

    def run() -> None:
        try:
            in_lanes(work, numbers, lanes=lanes, stop=closed)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the items are taken
            ready.put(_End(error))
        else:
            ready.put(_End(None))

    thread = threading.Thread(target=run, name="lanes")
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            places.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        # Whoever waits for a place gets one, and then ends as whoever waits for Graph does.
        places.release(3 * lanes)
        thread.join()


class _End:
    """No more items come, or none because of an error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
