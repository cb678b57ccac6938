"""The one way the hooks reach Azure: the `az` command line, its answers read as JSON."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class AzError(Exception):
    """`az` ended with an error.

    Attributes:
        code: the service's own error code (`Authorization_RequestDenied`, `CertificateNotFound`, ...), or "".
        not_found: what was asked for is not there.
    """

    def __init__(self, arguments: tuple[str, ...], stderr: str) -> None:
        said = stderr.strip() or "it said nothing"
        super().__init__(f"az {' '.join(arguments[:3])}: {said}")
        # `az rest` prints the reason and, in parentheses, the body: Forbidden({"error":{"code":"...", ...}}).
        found = re.search(r'"code":\s*"(\w+)"', stderr) or re.search(r"\((\w+)\)", stderr)
        self.code = found.group(1) if found else ""
        self.not_found = self.code.endswith("NotFound") or "Not Found(" in stderr


def az(*arguments: str) -> Any:
    """Run one command and return its JSON answer, None for an empty one.

    Raises:
        AzError: the command failed, or there is no `az`.
    """
    # Windows finds az.cmd only by its full name.
    program = shutil.which("az")
    if program is None:
        raise AzError(arguments, "not found; install it: https://learn.microsoft.com/en-us/cli/azure/install-azure-cli")
    command = [program, *arguments, "--output", "json", "--only-show-errors"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise AzError(arguments, ended.stderr)
    return json.loads(ended.stdout) if ended.stdout.strip() else None


def rest(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    """Send one request to Azure Resource Manager (a URL that begins with /) or to Microsoft Graph.

    The body goes through a file that only this user can read: a secret in it never shows in the list of processes.

    Raises:
        AzError: the request was refused, or did not get through.
    """
    request = ("rest", "--method", method, "--url", url)
    if body is None:
        return az(*request)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "body.json")
        file.write_text(json.dumps(body), encoding="utf-8")
        return az(*request, "--body", f"@{file}")
