"""What can go wrong in the host itself."""


class StartError(Exception):
    """The app cannot be served; the message is the worker's own, or names the setting or file at fault."""


class PortTaken(StartError):
    """Another program listens on the port."""


class WorkerExited(Exception):
    """The worker process ended before it answered."""


class FunctionFailed(Exception):
    """A function raised; the message is its exception, without the traceback."""


class NoWorker(Exception):
    """No worker process is up."""


class QueueError(Exception):
    """A queue could not be reached, or refused."""
