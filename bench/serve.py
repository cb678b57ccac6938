"""A simulated tenant as a program: `python -m bench.serve --users N`, up until its standard input ends.

Its first line of output is one JSON object with what clients need: the environment that leads to the tenant, the app's
settings, its client secret, and the settings of the Functions host's queues: those of Azurite, with `--azurite` and
where it can run, else in memory.
"""

import argparse
import contextlib
import json
import sys

from simulator import Simulator
from simulator.azurite import Azurite, missing


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.serve", description=__doc__)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--azurite", action="store_true")
    given = parser.parse_args()
    with Simulator(users=given.users) as azure, contextlib.ExitStack() as stack:
        azure.state.latency = given.latency
        queues, where = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "in memory"
        if given.azurite and (reason := missing()):
            where = f"in memory ({reason})"
        elif given.azurite:
            where = "Azure Storage's, in Azurite"
            stack.enter_context(Azurite(azure))
            queues = {
                "AzureWebJobsStorage": "",
                "AzureWebJobsStorage__queueServiceUri": "https://account.queue.core.windows.net",
                "AzureWebJobsStorage__credential": "managedidentity",
                "AzureWebJobsStorage__clientId": azure.entra.identity.client_id,
            }
        told = {
            "address": f"127.0.0.1:{azure.port}",
            "environment": azure.environment | azure.app_settings("secret"),
            "secret": azure.entra.application.secrets[0].value,
            "queues": queues,
            "queues_are": where,
        }
        print(json.dumps(told), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
