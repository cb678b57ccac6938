"""The functions of an app, from what its worker says of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.functions.configuration import resolve
from simulator.functions.errors import StartError
from simulator.functions.function_rpc import RpcFunctionMetadata
from simulator.functions.routes import Template, compile_template
from simulator.functions.timers import Schedule, parse_schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.

    Attributes:
        trigger: `httpTrigger`, `timerTrigger` or `queueTrigger`.
        parameter: name of the parameter that takes the trigger's value.
        methods: HTTP methods it answers, in upper case; empty for all.
        auth_level: `anonymous`, `function` or `admin`.
        queue: name of the queue that triggers it.
        outputs: queues it writes to, by the name of the binding.
    """

    name: str
    id: str
    trigger: str
    parameter: str
    route: Template | None = None
    methods: tuple[str, ...] = ()
    auth_level: str = "function"
    schedule: Schedule | None = None
    queue: str | None = None
    outputs: Mapping[str, str]


def read_functions(
    metadata: Sequence[RpcFunctionMetadata], *, prefix: str, settings: Mapping[str, str]
) -> tuple[Function, ...]:
    """Read the functions, by name in any case, which is also the order in which their routes are tried.

    Raises:
        StartError: there is none, a binding is not simulated, a setting is missing, or a route or schedule is
            malformed.
    """
    if not metadata:
        raise StartError("No functions were found: is there a function_app.py with one?")
    return tuple(_function(each, prefix, settings) for each in sorted(metadata, key=lambda each: each.name.lower()))


def _function(metadata: RpcFunctionMetadata, prefix: str, settings: Mapping[str, str]) -> Function:
    bindings: list[dict[str, Any]] = [json.loads(each) for each in metadata.raw_bindings]
    trigger = next((each for each in bindings if str(each["type"]).lower().endswith("trigger")), None)
    if not trigger:
        raise StartError(f"The function '{metadata.name}' has no trigger.")
    outputs = dict[str, str]()
    for binding in bindings:
        if binding["type"] == "queue" and binding["direction"] == "OUT":
            outputs[binding["name"]] = resolve(binding["queueName"], settings, metadata.name).lower()
        elif binding is not trigger and binding["type"] != "http":
            raise StartError(
                f"The function '{metadata.name}' has a binding of type {binding['type']}, which is not simulated."
            )
    route = schedule = queue = None
    match trigger["type"]:
        case "httpTrigger":
            route = compile_template(f"{prefix}/{trigger.get('route') or metadata.name}")
        case "timerTrigger":
            schedule = parse_schedule(resolve(trigger["schedule"], settings, metadata.name))
        case "queueTrigger":
            queue = resolve(trigger["queueName"], settings, metadata.name).lower()
        case kind:
            raise StartError(f"The function '{metadata.name}' has a trigger of type {kind}, which is not simulated.")
    return Function(
        name=metadata.name,
        id=metadata.function_id,
        trigger=trigger["type"],
        parameter=trigger["name"],
        route=route,
        methods=tuple(str(each).upper() for each in trigger.get("methods") or ()),
        auth_level=str(trigger.get("authLevel") or "function").lower(),
        schedule=schedule,
        queue=queue,
        outputs=outputs,
    )
