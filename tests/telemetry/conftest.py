"""What leads an app to the simulated Application Insights."""

from pathlib import Path

from simulator import Simulator
from simulator.demo import app_environment


def insights_environment(azure: Simulator, folder: Path) -> dict[str, str]:
    """The settings of an app that tells Application Insights of itself, by the managed identity as infra/ has it."""
    return {
        **app_environment(azure, folder),
        "APPLICATIONINSIGHTS_CONNECTION_STRING": azure.insights.connection_string,
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": f"ClientId={azure.entra.identity.client_id};Authorization=AAD",
        # Where the exporter keeps what it could not send.
        "TMPDIR": str(folder),
    }
