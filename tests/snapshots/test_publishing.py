"""Files of a manifest that are gone: because another run has published, or because the snapshot is damaged."""

from pathlib import Path

import pytest

from entra_users.errors import ObjectNotFound, RunInProgress
from entra_users.folder_store import FolderStore
from entra_users.publishing import while_published


def test_a_file_that_is_gone_although_nobody_published_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound), while_published(FolderStore(tmp_path), None):
        raise ObjectNotFound("gone")


def test_a_file_that_is_gone_since_another_run_published_ends_the_run_as_overtaken(tmp_path: Path) -> None:
    with pytest.raises(RunInProgress), while_published(FolderStore(tmp_path), "an older one"):
        raise ObjectNotFound("gone")
