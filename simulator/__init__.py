"""The Azure that runs on your laptop: Microsoft Entra, Graph and Key Vault under their real host names.

It is never deployed, and shares no code with the app that is tested against it.
"""

from simulator.certificates import ClientCertificate, client_certificate
from simulator.faults import Fault
from simulator.simulation import Simulator
from simulator.state import RecordedRequest

__all__ = ["ClientCertificate", "Fault", "RecordedRequest", "Simulator", "client_certificate"]
