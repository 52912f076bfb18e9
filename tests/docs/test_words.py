"""Words that people read in several places are the same in all of them."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import phaseflow
from phaseflow.cli.messages import ON_HOLD
from phaseflow.domain import vocabulary
from phaseflow.domain.messages import WAITING, waiting_words
from phaseflow.domain.vocabulary import PHASES, JobPhase, WaitingOn
from tests.docs.pages import DOCS

WORDS_OF_THE_PAGE = Path(phaseflow.__file__).parent / "http" / "dashboard" / "words.js"


def _meanings() -> dict[str, str]:
    """The docstring of each member, as it stands inside a sentence."""
    (tree,) = ast.parse(inspect.getsource(vocabulary.WaitingOn)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for member, told in zip(tree.body[1:], tree.body[2:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(told, ast.Expr) and isinstance(told.value, ast.Constant):
            text = str(told.value.value)
            found[str(ast.literal_eval(member.value))] = text[0].lower() + text[1:].removesuffix(".")
    return found


def test_every_reason_has_words_and_a_meaning() -> None:
    assert set(WAITING) == set(WaitingOn)
    assert set(_meanings()) == set(WaitingOn)


def test_the_dashboard_says_why_nothing_moves_in_the_same_words() -> None:
    table = re.search(r"const WAITING = \{(.*?)\};", WORDS_OF_THE_PAGE.read_text("utf-8"), re.DOTALL)
    assert table
    words = dict(re.findall(r'(\w+): "([^"]*)"', table[1]))
    assert words == {reason.value: text for reason, text in (WAITING | {WaitingOn.PAUSE: ON_HOLD}).items()}


@pytest.mark.parametrize("page", ["USER_GUIDE.md", "TROUBLESHOOTING.md"])
def test_the_pages_say_what_a_reason_means_in_the_same_words(page: str) -> None:
    table = (DOCS / page).read_text("utf-8").partition("\n| `waiting_on` |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, re.MULTILINE))
    for reason, meaning in _meanings().items():
        assert rows[reason].startswith(meaning)


def test_the_one_who_asks_to_slow_down_is_named() -> None:
    assert waiting_words(JobPhase.LOADING, WaitingOn.RATE_LIMIT) == "the source asked us to slow down"
    assert waiting_words(JobPhase.EMBEDDING, WaitingOn.RATE_LIMIT) == "the embedding server asked us to slow down"
    assert [waiting_words(phase, WaitingOn.UPSTREAM) for phase in PHASES] == [
        "waiting for the source", "waiting for loading", "waiting for chunking", "waiting for embedding",
    ]  # fmt: skip
