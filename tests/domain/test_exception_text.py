"""What an exception of somebody else says, whatever it does when it is asked."""

from asyncio import CancelledError
from typing import Any

import pytest

from phaseflow.domain.errors import DocumentError
from phaseflow.domain.exception_text import LONGEST, named, text_of
from tests.matrices import together


class Unsayable(Exception):
    """Raises what it is told when somebody asks what it says."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def __str__(self) -> str:
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: str = self.answer
        return answer


@together(
    ("error", "alone", "with_its_name"),
    [
        (ValueError("boom"), "boom", "ValueError: boom"),
        (ValueError("boom\nsecond line\r\n\n  third"), "boom second line third", "ValueError: boom second line third"),
        (ValueError("two  blanks"), "two  blanks", "ValueError: two  blanks"),
        (OSError("no caf\udce9.md"), "no caf\ufffd.md", "OSError: no caf\ufffd.md"),
        (KeyError("k"), "KeyError: 'k'", "KeyError: 'k'"),
        (KeyError(), "KeyError", "KeyError"),
        (MemoryError(), "MemoryError", "MemoryError"),
        (ValueError(" \n "), "ValueError", "ValueError"),
        (DocumentError("it is broken", code="broken"), "it is broken", "DocumentError: it is broken"),
    ],
)
def test_an_exception_becomes_one_line(error: Exception, alone: str, with_its_name: str) -> None:
    assert (text_of(error), named(error)) == (alone, with_its_name)


@together("answer", [ZeroDivisionError(), RecursionError(), CancelledError(), SystemExit(3), GeneratorExit(), None, 5])
def test_one_that_cannot_say_anything_is_its_type(answer: Any) -> None:
    assert (text_of(Unsayable(answer)), named(Unsayable(answer))) == ("Unsayable", "Unsayable")


@pytest.mark.parametrize("said", ["x" * 100_000, "x\n" * 100_000])
def test_a_long_one_is_cut(said: str) -> None:
    assert max(len(text_of(ValueError(said))), len(named(ValueError(said)))) <= LONGEST
    assert named(ValueError(said)).startswith("ValueError: x")


@together("code", ["", " ", 5, None, "half \ud800", "x" * 101], ids=ascii)
def test_what_is_no_word_is_no_code_of_a_document(code: Any) -> None:
    assert DocumentError("it is broken", code=code).code == "document_error"
    assert DocumentError("it is broken", code="broken").code == "broken"
