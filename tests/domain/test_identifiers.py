"""Names that are made here."""

import re

from phaseflow.domain.identifiers import DOCUMENT_ID, document_id


def test_a_documents_id_follows_from_its_knowledge_base_and_uri() -> None:
    assert document_id("docs", "guide/pause.md") == document_id("docs", "guide/pause.md")
    assert re.fullmatch(DOCUMENT_ID, document_id("docs", "guide/pause.md"))


def test_two_documents_have_two_ids() -> None:
    names = [("docs", "a.md"), ("docs", "b.md"), ("doc", "sa.md"), ("other", "a.md")]
    assert len({document_id(*name) for name in names}) == len(names)


def test_a_document_whose_name_is_not_valid_unicode_has_an_id_too() -> None:
    assert re.fullmatch(DOCUMENT_ID, document_id("docs", "half-\ud800.txt"))
