"""What comes from a worker, which a hostile document may have taken over: a frame and an answer, or none at all."""

import struct
from collections.abc import Mapping
from typing import Any

import pytest

from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.answers import outcome
from phaseflow.components.workers.frames import Decoder, MalformedFrame
from phaseflow.domain.errors import DocumentError
from tests.matrices import together

READ: Mapping[str, Any] = {"status": "read", "title": "t", "type": "text/plain", "parts": [[0, "page 1"]]}
_SIZES = struct.Struct(">IQ")
FRAMES = {
    "a head of any length": (_SIZES.pack(2**32 - 1, 0), "too large"),
    "a body of any length": (_SIZES.pack(2, 2**63), "too large"),
    "a head that is not JSON": (_SIZES.pack(2, 0) + b"{]", "not JSON"),
    "a head nested without end": (_SIZES.pack(300_000, 0) + b"[" * 300_000, "not JSON"),
    "a head that is no object": (_SIZES.pack(2, 0) + b"[]", "not an object"),
}
ANSWERS: dict[str, tuple[Mapping[str, Any], bytes, str]] = {
    "no status": ({"title": "t"}, b"x", "neither read nor failed"),
    "another status": ({**READ, "status": "ready"}, b"x", "neither read nor failed"),
    "text that is not UTF-8": (READ, b"\xff", "not UTF-8"),
    "no title": ({**READ, "title": None}, b"x", "no title"),
    "no type": ({**READ, "type": 5}, b"x", "no type"),
    "no parts": ({**READ, "parts": None}, b"x", "no parts"),
    "parts of another shape": ({**READ, "parts": [[1]]}, b"x", "not an offset and a label"),
    "parts of other kinds": ({**READ, "parts": [["1", 1]]}, b"x", "not an offset and a label"),
    "metadata that is none": ({**READ, "metadata": []}, b"x", "metadata of the answer is none"),
    "metadata that nobody keeps": ({**READ, "metadata": {"a": {"b": 1}}}, b"x", "metadata of the answer is none"),
    "read as nothing": ({**READ, "read_as": 5}, b"x", "no read_as"),
    "no words for a failure": ({"status": "failed", "code": "x"}, b"", "no message"),
    "no code for a failure": ({"status": "failed", "message": "x"}, b"", "no code"),
}


@together("name", FRAMES)
def test_what_is_no_frame_is_refused_before_more_of_it_is_waited_for(name: str) -> None:
    data, why = FRAMES[name]
    decoder = Decoder()
    decoder.feed(data)
    with pytest.raises(MalformedFrame, match=why):
        decoder.take()


@together("name", ANSWERS)
def test_what_is_no_answer_is_refused(name: str) -> None:
    head, body, why = ANSWERS[name]
    with pytest.raises(MalformedFrame, match=why):
        outcome((dict(head), body))


def test_an_answer_is_a_text_or_the_failure_of_its_document() -> None:
    found = outcome((dict(READ), b"text"))
    assert found == Extracted("text", "t", "text/plain", ((0, "page 1"),))
    failed = outcome(({"status": "failed", "code": "malformed", "message": "no"}, b""))
    assert isinstance(failed, DocumentError)
    assert (str(failed), failed.code, failed.counts) == ("no", "malformed", True)
    harmless = outcome(({"status": "failed", "code": "x", "message": "no", "counts": False}, b""))
    assert isinstance(harmless, DocumentError)
    assert not harmless.counts
