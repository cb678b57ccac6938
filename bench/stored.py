"""The stored copy that measured programs make, as its files tell."""

import gzip
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

from bench.options import Options


def new_store(options: Options) -> Path:
    """Where a store is to be that has nothing in it."""
    shutil.rmtree(store_of(options), ignore_errors=True)
    return store_of(options)


def store_of(options: Options) -> Path:
    """Where the store of all measurements is."""
    return options.folder / "store"


def manifest_of(store: Path) -> dict[str, Any]:
    """The manifest that is published."""
    return json.loads((store / "latest.json").read_bytes())


def full_record(store: Path) -> dict[str, Any]:
    """What the last full run says of itself."""
    return next(record for record in reversed(manifest_of(store)["history"]) if record["mode"] == "full")


def data_files(store: Path) -> set[tuple[str, int]]:
    """The stored files of users and of changes, and when each was written."""
    files = [path for path in (store / "snapshots").rglob("*.gz") if path.is_file()]
    return {(str(path), path.stat().st_mtime_ns) for path in files}


def some_ids(store: Path, *, step: int, first: int) -> list[str]:
    """The id of every `step`-th user of each part, from its `first` on."""
    ids: list[str] = []
    for part in manifest_of(store)["parts"]:
        with gzip.open(store / part["file"]["name"]) as lines:
            ids += [json.loads(line)["id"] for line in islice(lines, first, None, step)]
    return ids
