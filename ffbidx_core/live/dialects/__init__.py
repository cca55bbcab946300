"""The dialects of spot lists: how the dialect of a message is recognised, and how the message is decoded.

Each dialect has functions `decode`, from bytes to messages, `encode`, from a message to bytes, and `encode_answer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ..messages import LARGEST_MESSAGE, Message, MessageError
from . import lines, om, own, stream2


@dataclass(frozen=True)
class Dialect:
    """A dialect of messages.

    Attributes
    ----------
    name : str
        Name of the dialect for `--dialect`.
    decode : callable
        Function that returns the messages in some bytes, or raises a `MessageError`.
    encode : callable
        Function that returns the bytes of a message.
    encode_answer : callable
        Function that returns the bytes of an answer, which is a dictionary.
    """

    name: str
    decode: Callable[[bytes], list[Message]]
    encode: Callable[[Message], bytes]
    encode_answer: Callable[[dict[str, Any]], bytes]


DIALECTS = {
    "cbor": Dialect("cbor", own.decode, own.encode, own.encode_answer),
    "om": Dialect("om", om.decode, om.encode, om.encode_answer),
    "stream2": Dialect("stream2", stream2.decode, stream2.encode, own.encode_answer),
    "json": Dialect("json", lines.decode, lines.encode, lines.encode_answer),
}
"""All dialects, keyed by their names."""
AUTO = "auto"


def is_json(data: bytes) -> bool:
    """Whether some bytes begin as JSON does, in a message that may be no valid one."""
    return data.lstrip()[:1] in (b"{", b"[")


def dialect_of(data: bytes, chosen: str = AUTO) -> Dialect:
    """The dialect of a message: the chosen one, or the one recognised by the content.

    Raises
    ------
    MessageError
        If the message is in none of the dialects.
    """
    if chosen != AUTO:
        return DIALECTS[chosen]
    if data.startswith(own.FRAME, 1):
        return DIALECTS["cbor"]
    if is_json(data):
        return DIALECTS["json"]
    first = data[0] if data else 0
    if first in own.MAPS or data.startswith(own.SELF_DESCRIBED):
        return DIALECTS["stream2" if stream2.is_series(data) else "cbor"]
    if first in om.MAPS_AND_LISTS:
        return DIALECTS["om"]
    raise MessageError("the message is in none of the dialects " + ", ".join(DIALECTS))


def decoded(data: bytes, chosen: str = AUTO) -> tuple[Dialect, list[Message]]:
    """The messages in some bytes, and their dialect.

    Raises
    ------
    MessageError
        If anything is wrong with the bytes; no bytes make this function raise another exception.
    """
    if len(data) > LARGEST_MESSAGE:
        raise MessageError(f"the message has {len(data)} bytes; at most {LARGEST_MESSAGE} are taken")
    dialect = dialect_of(data, chosen)
    try:
        return dialect, dialect.decode(data)
    except MessageError:
        raise
    except Exception as error:
        # Decoders receive arbitrary bytes from outside, which must not end the server.
        detail = " ".join(str(error).split())[:120]
        raise MessageError(f"the message is not in the dialect {dialect.name}: {detail}") from None


def check_dialect(word: str) -> None:
    """Raise an error if a word is not the name of a dialect."""
    if word not in (AUTO, *DIALECTS):
        raise UsageError(f"--dialect {word}: there are {AUTO}, {', '.join(DIALECTS)}")
