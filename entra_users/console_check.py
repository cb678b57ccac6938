"""What the console's `check` command prints: a table for people."""

import textwrap
from collections.abc import Iterator

from entra_users.diagnosis import Diagnosis, Link

_COLOURS = {"ok": "32", "warning": "33", "failed": "31", "not reached": "2"}
_NAME, _STATE = 18, 12


def table(diagnosis: Diagnosis, *, width: int, colour: bool) -> str:
    """The links, one below the other: how each is, how long it took, what was seen, and what to do about it.

    Args:
        diagnosis: to show.
        width: of the terminal, in characters; addresses and commands are never broken.
        colour: colour the states, for a terminal.
    """
    facts = {"app": diagnosis.app, "tenant": diagnosis.tenant, "cloud": diagnosis.cloud, "by": diagnosis.credential}
    head = ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    lines = [head, ""] if head else []
    for link in diagnosis.links:
        lines += _rows(link, width, colour=colour)
    return "\n".join([*lines, "", f"{_painted(diagnosis.status, diagnosis.status, colour=colour)} {_sum(diagnosis)}"])


def exit_status(diagnosis: Diagnosis) -> int:
    """0 where all links hold, warnings or not; 1 where one failed, 2 where that is the settings."""
    if diagnosis.status != "failed":
        return 0
    return 2 if diagnosis.links[0].state == "failed" else 1


def _rows(link: Link, width: int, *, colour: bool) -> Iterator[str]:
    state = _painted(link.state, link.state.ljust(_STATE), colour=colour)
    took = "" if link.state == "not reached" else f"{link.seconds:.2f} s"
    indent = " " * (_NAME + _STATE + 10)
    first, *others = [line for told in link.detail.splitlines() for line in _wrapped(told, width - len(indent))]
    yield f"{link.name:<{_NAME}}{state}{took:>8}  {first}"
    yield from (indent + line for line in others)
    if link.remedy:
        told = [link.meaning, f"To do ({link.who}): {link.remedy}"]
        yield from (indent + line for text in told for line in _wrapped(text, width - len(indent)))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 40), break_long_words=False, break_on_hyphens=False)


def _painted(state: str, text: str, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS[state]}m{text}\x1b[0m" if colour else text


def _sum(diagnosis: Diagnosis) -> str:
    states = [link.state for link in diagnosis.links]
    counts = [f"{states.count(state)} {state}" for state in _COLOURS if state in states]
    return f"({', '.join(counts)})"
