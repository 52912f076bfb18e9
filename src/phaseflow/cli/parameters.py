"""Kinds of values on the command line: what cannot be one is a mistake of usage, before anything is opened or made."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import check_kb_id, check_token

T = TypeVar("T")
LONGEST_NAME = 4096
"""Characters of a name or a uri: as many as Linux takes for a path."""


class _Checked(click.ParamType[Any]):
    """A text that ``check`` takes: it returns the value, or raises InvalidRequest, or ValueError with what is wrong."""

    def __init__(self, name: str, check: Callable[[str], Any]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._check(value)
        except InvalidRequest as error:
            self.fail(error.message, param, ctx)
        except OSError as error:
            self.fail(f"{value[:100]!r}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.FloatRange):
    """A number within a range. ``nan``, which is neither below nor above anything, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number, {self.min} to {self.max}", param, ctx)
        return number


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; leave it out, or give a name")
    if len(text) > LONGEST_NAME:
        raise ValueError(f"it has {counted(len(text), 'character')}, more than {LONGEST_NAME}")
    return _whole(text)


def _query(text: str) -> str:
    from phaseflow.domain.search_query import LONGEST_QUERY

    if not text.strip() or len(text) > LONGEST_QUERY:
        raise ValueError(f"a query has 1 to {LONGEST_QUERY} characters, and not only blanks")
    return _whole(text)


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds bytes that are no UTF-8; give whole characters") from None
    return text


def _server(url: str) -> str:
    """Empty: none, whatever the environment says."""
    if not url.strip():
        return ""
    from pydantic import TypeAdapter, ValidationError

    from phaseflow.domain.settings import Address
    from phaseflow.domain.validation import first_fault

    try:
        TypeAdapter(Address).validate_python(url)
    except ValidationError as error:
        shown = url.rpartition("@")[2][:100]  # what stands before it may be a password
        problem = first_fault(error).problem.partition(", such as ")[0]
        raise ValueError(f"{shown!r} {problem}, such as http://127.0.0.1:8000") from None
    return url


def _token(text: str) -> str:
    return check_token(text) if text else text


def _private_host(text: str) -> str:
    from phaseflow.components.sources.web.ssrf import AddressPolicy

    AddressPolicy([text])
    return text


def _host_name(text: str) -> str:
    from phaseflow.http.access import ANY, host_name

    if text == ANY or not host_name(text) or any(letter.isspace() for letter in text):
        raise ValueError(f"{text!r} is not the name of a host; give it as kb.example.org")
    return text


def _glob(text: str) -> str:
    from phaseflow.components.sources.wildmatch import BadPattern, parse

    try:
        pattern = parse(text)
    except BadPattern as error:
        raise ValueError(f"{text[:100]!r} is not a glob ({error}); write it as in a .gitignore file") from None
    if pattern is None:
        raise ValueError(f"{text[:100]!r} matches nothing; write it as in a .gitignore file")
    return text


def _file(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError("it is empty; give the name of a file" if not text.strip() else f"{text!r} names no file")
    if Path(text).is_dir():
        raise ValueError(f"{text!r} is a directory; give the name of a file")
    return Path(text)


def _existing_file(text: str) -> Path:
    path = _file(text)
    if not path.exists():
        raise ValueError(f"{text!r} does not exist; check the name")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{text!r} cannot be read; fix its permissions")
    return path


def _folder(text: str) -> Path:
    if "\0" in text or not Path(text).is_dir():
        raise ValueError(f"directory {text!r} does not exist; check the name")
    return Path(text)


FILE = _Checked("file", _file)
FOLDER = _Checked("directory", _folder)
EXISTING_FILE = _Checked("file", _existing_file)
KB = _Checked("kb", check_kb_id)
NAME = _Checked("text", _name)
QUERY = _Checked("text", _query)
SERVER = _Checked("url", _server)
TOKEN = _Checked("token", _token)
PRIVATE_HOST = _Checked("host", _private_host)
HOST_NAME = _Checked("host", _host_name)
GLOB = _Checked("glob", _glob)
