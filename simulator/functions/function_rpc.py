"""Typed stand-ins for the messages of FunctionRpc that the host and the Python worker exchange.

The names, fields and numbers are those of FunctionRpc.proto
(https://github.com/Azure/azure-functions-language-worker-protobuf), because Microsoft's worker library is handed this
module as its `protos`. The same records, packed by msgspec, are what goes over the socket between the two processes:
`frame` packs one, and `LENGTH` reads how many bytes follow.

It is imported by name from the worker's own folder too, so it imports nothing from this package.
"""

import enum
import struct
from datetime import timedelta
from typing import ClassVar

import msgspec

# Fields that carry a builtin's name hide it in the rest of their class.
type Bytes = bytes
type Int = int

LENGTH = struct.Struct("!I")


class Message(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A record whose absent fields cost nothing on the wire."""


class RpcException(Message):
    """An exception as text; the stack trace stays in the host's log."""

    message: str
    stack_trace: str = ""
    source: str = ""


class StatusResult(Message):
    """How a request to the worker ended."""

    Failure: ClassVar[Int] = 0
    Success: ClassVar[Int] = 1

    status: Int
    exception: RpcException | None = None


class Timestamp(Message):
    """Seconds since 1970, UTC."""

    seconds: Int


class NullableString(Message):
    """A string that may be absent."""

    value: str


class NullableBool(Message):
    """A truth value that may be absent."""

    value: bool


class NullableDouble(Message):
    """A number that may be absent."""

    value: float


class NullableTimestamp(Message):
    """A moment that may be absent."""

    value: Timestamp


class RpcHttpCookie(Message):
    """One cookie that a function sets."""

    # The functional form, since `None` is the name of the first member.
    SameSite: ClassVar = enum.IntEnum("SameSite", {"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})

    name: str
    value: str
    domain: NullableString | None = None
    path: NullableString | None = None
    expires: NullableTimestamp | None = None
    secure: NullableBool | None = None
    http_only: NullableBool | None = None
    same_site: Int = 0
    max_age: NullableDouble | None = None


class TypedData(Message):
    """A value of one of several kinds; exactly one field is set, or none."""

    string: str | None = None
    json: str | None = None
    bytes: Bytes | None = None
    http: "RpcHttp | None" = None
    int: Int | None = None
    double: float | None = None

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 (protobuf's own name)
        """Name the field that is set, as protobuf does."""
        return next((kind for kind in self.__struct_fields__ if getattr(self, kind) is not None), None)


class RpcHttp(Message):
    """An HTTP request on its way in, or a response on its way out."""

    method: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    body: TypedData | None = msgspec.field(default_factory=TypedData)
    params: dict[str, str] = {}
    query: dict[str, str] = {}
    status_code: str = ""
    cookies: list[RpcHttpCookie] | None = None
    enable_content_negotiation: bool = False


class ParameterBinding(Message):
    """The value of one binding, by its name."""

    name: str
    data: TypedData | None = None

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 (protobuf's own name)
        """Name the field that is set; shared memory is never used here."""
        return None if self.data is None else "data"


class BindingInfo(Message):
    """One binding of a function."""

    # Directions and data types share one class in protobuf's Python.
    out: ClassVar[Int] = 1
    inout: ClassVar[Int] = 2
    undefined: ClassVar[Int] = 0

    type: str
    direction: Int = 0
    data_type: Int | None = None


class RpcRetryOptions(Message):
    """A function's retry policy."""

    max_retry_count: Int
    retry_strategy: str
    delay_interval: timedelta | None = None
    minimum_interval: timedelta | None = None
    maximum_interval: timedelta | None = None


class RpcFunctionMetadata(Message):
    """What the worker found out about one function; `raw_bindings` are JSON objects, as in a function.json."""

    name: str
    function_id: str
    directory: str
    script_file: str
    entry_point: str
    language: str
    bindings: dict[str, BindingInfo]
    raw_bindings: list[str]
    managed_dependency_enabled: bool = False
    is_proxy: bool = False
    retry_options: RpcRetryOptions | None = None
    properties: dict[str, str] = {}


class WorkerMetadata(Message):
    """Which worker answers."""

    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: dict[str, str] = {}


class WorkerInitRequest(Message):
    """Import the app and index its functions."""

    function_app_directory: str
    capabilities: dict[str, str] = {}


class WorkerInitResponse(Message):
    """Whether the app could be imported and indexed."""

    result: StatusResult
    capabilities: dict[str, str]
    worker_metadata: WorkerMetadata


class FunctionsMetadataRequest(Message):
    """List the functions."""


class FunctionMetadataResponse(Message):
    """The functions; none where there is no function_app.py."""

    result: StatusResult
    function_metadata_results: list[RpcFunctionMetadata] | None
    use_default_metadata_indexing: bool


class RpcTraceContext(Message):
    """W3C trace context."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = {}


class RetryContext(Message):
    """Which retry of the host's own retry policy this is; queue redeliveries are not counted here."""

    retry_count: Int = 0
    max_retry_count: Int = 0
    exception: RpcException | None = None


class InvocationRequest(Message):
    """Run a function."""

    invocation_id: str
    function_id: str
    input_data: list[ParameterBinding]
    trigger_metadata: dict[str, TypedData] = {}
    trace_context: RpcTraceContext = msgspec.field(default_factory=RpcTraceContext)
    retry_context: RetryContext = msgspec.field(default_factory=RetryContext)


class InvocationResponse(Message):
    """What a function returned, or how it failed."""

    invocation_id: str
    result: StatusResult
    return_value: TypedData | None = None
    output_data: list[ParameterBinding] = []


class RpcLog(Message):
    """One log record of the worker; `category` is the Python logger's name."""

    level: str
    category: str
    message: str
    invocation_id: str = ""


class StreamingMessage(Message):
    """The envelope: an answer carries its request's id, a log record none."""

    request_id: str = ""
    worker_init_request: WorkerInitRequest | None = None
    worker_init_response: WorkerInitResponse | None = None
    functions_metadata_request: FunctionsMetadataRequest | None = None
    function_metadata_response: FunctionMetadataResponse | None = None
    invocation_request: InvocationRequest | None = None
    invocation_response: InvocationResponse | None = None
    rpc_log: RpcLog | None = None


decode = msgspec.msgpack.Decoder(StreamingMessage).decode
_encoder = msgspec.msgpack.Encoder()


def frame(message: StreamingMessage) -> bytearray:
    """Pack a message for the socket, its length first; in one buffer, since a body may be large."""
    packed = bytearray(LENGTH.size)
    _encoder.encode_into(message, packed, LENGTH.size)
    LENGTH.pack_into(packed, 0, len(packed) - LENGTH.size)
    return packed
