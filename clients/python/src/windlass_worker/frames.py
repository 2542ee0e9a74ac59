"""What is written to the agent: RS, one JSON object, LF. docs/worker-protocol.md has what each means."""

from __future__ import annotations

import base64
import json
import traceback
from typing import Any, Iterable, Optional

from .context import Bytes, Context, Frame, JobError

FRAME_BYTES_MAX = 1 << 20
"""Longest frame either way."""
RESULT_BYTES_MAX = 256 << 10
"""Largest result, before base64."""
TEXT_BYTES_MAX = 8 << 10
"""Longest message and stack of an error."""
LINE_BYTES_MAX = 64 << 10
"""Longest message of a log line, and all of its fields: both fit a frame, whatever must be escaped in them."""

# Encoders of their own, made once: json.dumps makes a new one for every call that is not plain.
# A circle ends in a RecursionError as well.
_strict = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_lenient = json.JSONEncoder(separators=(",", ":"), default=str).encode


def frame(message: Frame) -> bytes:
    """A frame of what is always JSON."""
    return b"\x1e" + _lenient(message).encode() + b"\n"


def hello(handlers: Iterable[str], features: Iterable[str]) -> bytes:
    return frame({"type": "hello", "protocol": 1, "handlers": list(handlers), "features": list(features)})


def started(number: int) -> bytes:
    return b'\x1e{"type":"started","id":%d}\n' % number


def line(message: Frame) -> bytes:
    """A `log` or `progress` frame, cut to what fits."""
    if "message" in message:
        message["message"] = cut(str(message["message"]), LINE_BYTES_MAX)
    try:
        if len(_lenient(message.get("fields"))) > LINE_BYTES_MAX:
            message["fields"] = {"dropped": f"fields are longer than {LINE_BYTES_MAX} bytes"}
    except (TypeError, ValueError, RecursionError) as err:
        message["fields"] = {"dropped": str(err)}
    return frame(message)


def result(number: int, value: Any) -> bytes:
    """The answer of a handler that returned. One that cannot be sent becomes an error, which no retry would mend."""
    if isinstance(value, (Bytes, bytes, bytearray, memoryview)):
        return _data(number, value if isinstance(value, Bytes) else Bytes(bytes(value)))
    try:
        body = _strict(value).encode()
    except (TypeError, ValueError, RecursionError) as err:
        return error(number, str(err), "RESULT_NOT_JSON", retryable=False)
    if len(body) > RESULT_BYTES_MAX:
        return _too_large(number, len(body))
    return b'\x1e{"type":"result","id":%d,"value":%b}\n' % (number, body)


def _data(number: int, value: Bytes) -> bytes:
    if len(value.data) > RESULT_BYTES_MAX:
        return _too_large(number, len(value.data))
    if len(value.content_type.encode()) > 128:
        return error(number, "content_type is longer than 128 bytes", "RESULT_NOT_JSON", retryable=False)
    text = base64.b64encode(value.data).decode()
    return frame({"type": "result", "id": number, "value_base64": text, "content_type": value.content_type})


def _too_large(number: int, size: int) -> bytes:
    message = f"the result is {size} bytes, the limit is {RESULT_BYTES_MAX}: store it elsewhere and return its address"
    return error(number, message, "RESULT_TOO_LARGE", retryable=False)


def failure(err: BaseException, ctx: Context) -> bytes:
    """The answer of a handler that raised."""
    if ctx.cancelled():
        return error(ctx._id, "stopped", "cancelled")
    if not isinstance(err, JobError):
        stack = "".join(traceback.format_exception(type(err), err, err.__traceback__))
        return error(ctx._id, str(err), type(err).__name__, stack=stack)
    later = None if err.retry_after is None else round(err.retry_after * 1000)
    return error(ctx._id, str(err), err.code, err.retryable, retry_after_ms=later, cooldown_key=err.cooldown_key)


def refusal(err: Exception, ctx: Context) -> bytes:
    """The answer of a validate that raised."""
    return error(ctx._id, str(err), err.code if isinstance(err, JobError) else type(err).__name__, retryable=False)


def error(number: int, message: str, code: Optional[str], retryable: bool = True, **more: Any) -> bytes:
    """`more`: retry_after_ms, cooldown_key, stack. Of a stack that is too long the end stays: it names the place."""
    said = {"type": "error", "id": number, "message": cut(message or str(code), TEXT_BYTES_MAX)}
    if code:
        said["code"] = cut(code, 128)
    if not retryable:
        said["retryable"] = False
    if more.get("stack"):
        more["stack"] = more["stack"].encode(errors="replace")[-TEXT_BYTES_MAX:].decode(errors="ignore")
    return frame({**said, **{key: value for key, value in more.items() if value is not None}})


def cut(text: str, most: int) -> str:
    """The beginning of it, in at most so many bytes."""
    return text.encode(errors="replace")[:most].decode(errors="ignore")
