"""Whatever a program makes by a call says in our words what is wrong with a value, whichever class it is."""

import inspect
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

import phaseflow
from phaseflow import (
    BudgetPolicy,
    FolderSource,
    GuardPolicy,
    InvalidRequest,
    NewDocument,
    PhaseTracker,
    Policies,
    RetryPolicy,
    Settings,
    UploadLimits,
    WebSource,
)
from phaseflow.client import Client
from phaseflow.components.sources.web import Limits as WebLimits
from phaseflow.domain.errors import InvalidValue
from phaseflow.domain.settings import OpenAIEmbedderSettings
from phaseflow.domain.status import Value
from phaseflow.http import Limits

REQUIRED: dict[str, dict[str, Any]] = {
    "FolderSource": {"path": "docs"},
    "WebSource": {"urls": ("https://docs.example.org/",)},
    "FsspecSource": {"url": "s3://papers"},
    "GitSource": {"url": "https://host.example.org/handbook.git"},
    "NewDocument": {"uri": "a.md", "text": "text"},
    "PhaseFlow": {"path": "kb.db"},
    "Reader": {"path": "kb.db"},
    "OpenAIEmbedderSettings": {"base_url": "https://a.test/v1", "model": "m"},
    "Client": {"url": "http://127.0.0.1:1"},
}
COMPONENTS = {"loader", "chunker", "embedder", "index"}
"""Their classes are those of the program: what is no component is a TypeError, which names what it lacks."""
MADE_BY_OTHERS = {"IngestionState", "PhaseState", "Job", "PhaseTracker", "SearchHits"}
"""What methods return, or open."""


def _is_made_by_programs(kind: Any) -> bool:
    return not issubclass(kind, BaseException | Enum | Value) and kind.__name__ not in MADE_BY_OTHERS


PUBLIC = [kind for name in phaseflow.__all__ if _is_made_by_programs(kind := getattr(phaseflow, name))]
MADE = [*PUBLIC, Client, Limits, WebLimits, OpenAIEmbedderSettings]


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: f"{kind.__module__.split('.')[1]}.{kind.__name__}")
def test_a_value_of_no_kind_that_a_parameter_takes_is_refused_with_its_name(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = REQUIRED.get(kind.__name__, {})
    for name in inspect.signature(kind).parameters:
        with pytest.raises((InvalidRequest, TypeError)) as refused:
            kind(**{**given, name: object()})
        if isinstance(refused.value, InvalidRequest):
            assert refused.value.field in {name, f"{kind.__name__}.{name}"}
            assert str(refused.value).startswith(f"{refused.value.field}: ")
        else:
            assert (kind.__name__, name in COMPONENTS) == ("PhaseFlow", True), refused.value


def test_the_classes_that_programs_make_are_all_looked_at() -> None:
    assert {kind.__name__ for kind in PUBLIC} == {
        "FolderSource", "WebSource", "UploadSource", "FsspecSource", "GitSource", "Settings", "NewDocument",
        "UploadLimits", "Policies", "RetryPolicy", "BudgetPolicy", "GuardPolicy", "PhaseFlow", "Reader",
    }  # fmt: skip


def told(make: Any, *given: Any, **named: Any) -> str:
    with pytest.raises(InvalidValue) as refused:
        make(*given, **named)
    assert isinstance(refused.value, InvalidRequest | ValueError)
    assert refused.value.__cause__ is None
    return str(refused.value)


def test_a_value_is_named_by_its_class_and_field_however_it_is_given() -> None:
    assert told(FolderSource, 5) == "FolderSource.path: must be a text"
    assert told(FolderSource, "a", 5) == "FolderSource.include: must be a list"
    assert told(FolderSource) == "FolderSource.path: is required"
    assert told(FolderSource, "a", folders=True) == "FolderSource.folders: is not known here; check its spelling"
    assert told(FolderSource, "a", (), (), False, "folder", 1).startswith("FolderSource.5: is not known here")
    assert told(WebSource, ("https://a.org/", "b")).startswith("WebSource.urls.1: must be a URL")
    assert told(Settings, chunk_size=0) == "Settings.chunk_size: must be at least 1"
    assert told(Settings, chunk_size=9, chunk_overlap=9).startswith("Settings: chunk_overlap (9) must be smaller than")
    assert told(Settings, embedder={"type": "openai"}) == "Settings.embedder.base_url: is required"
    assert told(NewDocument, uri="a", text=b"b") == "NewDocument.text: must be a text"
    assert told(replace, FolderSource("a"), path="") == "FolderSource.path: must have at least 1 character"


def test_numbers_of_policies_and_limits_have_their_bounds() -> None:
    assert told(RetryPolicy, "8") == "RetryPolicy.tries: must be a whole number, 0 or more, not a string"
    assert told(RetryPolicy, 1.5) == "RetryPolicy.tries: must be a whole number, 0 or more, not 1.5"
    assert told(RetryPolicy, first_s=-1) == "RetryPolicy.first_s: must be a number, 0 or more, not -1"
    assert told(RetryPolicy, True) == "RetryPolicy.tries: must be a whole number, 0 or more, not a boolean"
    assert told(RetryPolicy, most_s=float("nan")) == "RetryPolicy.most_s: must be a number, 0 or more, not nan"
    assert told(RetryPolicy, most_s=None) == "RetryPolicy.most_s: must be a number, 0 or more, not nothing"
    assert told(BudgetPolicy, share=15) == "BudgetPolicy.share: must be a number, 0 or more and at most 1, not 15"
    assert told(GuardPolicy, "1") == "GuardPolicy.rate_limited_s: must be a number, 0 or more, or None, not a string"
    assert told(Policies, BudgetPolicy()) == "Policies.retry: must be a RetryPolicy, not a BudgetPolicy"
    assert GuardPolicy(None, None, None) == GuardPolicy(characters=None, rate_limited_s=None, stalled_s=None)
    assert BudgetPolicy(share=1).share == UploadLimits(files=1).files == 1
    assert RetryPolicy(most_s=float("inf")).tries == 8


async def test_a_tracker_is_opened_by_a_path() -> None:
    with pytest.raises(InvalidRequest, match=r"^path: must be a path, not a number"):
        async with PhaseTracker.open(5):  # type: ignore[arg-type]  # that is what is tried
            """Nothing is opened."""
