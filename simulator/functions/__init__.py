"""A stand-in for `func start`: it plays the Functions host around Microsoft's own Python worker library."""

from simulator.functions.errors import FunctionFailed, PortTaken, StartError
from simulator.functions.host import FunctionsHost
from simulator.functions.keys import Keys
from simulator.functions.logs import LogEntry
from simulator.functions.queues import Message, poison

__all__ = ["FunctionFailed", "FunctionsHost", "Keys", "LogEntry", "Message", "PortTaken", "StartError", "poison"]
