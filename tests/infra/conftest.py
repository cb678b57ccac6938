"""The hooks of azd, run against a stand-in for the Azure CLI.

The answers in az/ have the shapes that the documentation and the source of `az` 2.91 give; they were not recorded from
a subscription.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "infra/hooks"
ANSWERS = Path(__file__).parent / "az"


class FakeAz:
    """What the stand-in is to answer, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._laid_out = 0

    def answer(self, when: str, what: str | object) -> None:
        """Lay out one answer to the next command that begins so: a file of az/ (a .txt is an error), or a value."""
        status, text = 0, json.dumps(what)
        if isinstance(what, str):
            status, text = int(what.endswith(".txt")), (ANSWERS / what).read_text(encoding="utf-8")
        self._laid_out += 1
        file = self._folder / f"answer-{self._laid_out:03}"
        file.write_text(json.dumps([when, status, text]), encoding="utf-8")

    @property
    def calls(self) -> list[list[str]]:
        """Every command so far, as arguments; a file handed over stands there with its contents."""
        file = self._folder / "calls"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    @property
    def commands(self) -> list[str]:
        """The same, each as one line."""
        return [" ".join(call) for call in self.calls]

    @property
    def unused(self) -> int:
        """How many answers nobody asked for."""
        return len(list(self._folder.glob("answer-*")))


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAz:
    """The stand-in, first on the PATH."""
    folder = tmp_path / "fake-az"
    folder.mkdir()
    monkeypatch.setenv("FAKE_AZ", str(folder))
    monkeypatch.setenv("PATH", os.pathsep.join([str(ANSWERS), str(Path(sys.executable).parent), os.environ["PATH"]]))
    return FakeAz(folder)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a hook as azd runs it: with its folder first on the import path."""
    monkeypatch.syspath_prepend(str(HOOKS))
    return importlib.import_module


@pytest.fixture
def provisioned() -> dict[str, Any]:
    """What azd's environment holds after provisioning: the outputs of main.bicep."""
    vault = "/subscriptions/s/resourceGroups/rg-x/providers/Microsoft.KeyVault/vaults/kv-x"
    return {
        "AZURE_TENANT_ID": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "AZURE_RESOURCE_GROUP": "rg-x",
        "AZURE_FUNCTION_NAME": "func-x",
        "FUNCTION_URL": "https://func-x.azurewebsites.net",
        "FUNCTION_IDENTITY_CLIENT_ID": "11110000-aaaa-bbbb-cccc-222233334444",
        "FUNCTION_IDENTITY_PRINCIPAL_ID": "22223333-cccc-4444-dddd-5555eeee6666",
        "HOST_STORAGE_ID": "/subscriptions/s/resourceGroups/rg-x/providers/Microsoft.Storage/storageAccounts/sthostx",
        "USERS_STORE": "https://stdatax.blob.core.windows.net/users/directory",
        "GRAPH_CREDENTIAL": "federated",
        "ENTRA_APP": "create",
        "GRAPH_TENANT_ID": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "GRAPH_CLIENT_ID": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "GRAPH_ADMIN_CONSENT_URL": "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/adminconsent"
        "?client_id=00001111-aaaa-2222-bbbb-3333cccc4444",
        "CALLER_AUTH": "key",
        "CALLER_AUDIENCE": "",
        "CALLER_CLIENT_ID": "",
        "KEY_VAULT_ID": vault,
        "KEY_VAULT_NAME": "kv-x",
        "KEY_VAULT_SECRET_NAME": "graph-client-secret",
        "KEY_VAULT_CERTIFICATE_NAME": "graph-client-certificate",
    }
