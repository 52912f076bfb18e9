"""What a search finds first: on small documents, and on a collection with judgements."""

import itertools
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import retrieval
from phaseflow import PhaseFlow, SearchHits, SearchMode
from phaseflow.components import exact_things, word_places, word_ranking
from phaseflow.store import postings
from phaseflow.store.pieces import PIECE_BITS
from phaseflow.store.word_table import WordTable
from tests.engine.test_control import finished
from tests.matrices import first_of_each


async def searched(
    folder: Path, documents: Mapping[str, str], *queries: str, mode: SearchMode = SearchMode.HYBRID, limit: int = 10
) -> list[SearchHits]:
    """The hits of each query in a knowledge base of these documents."""
    source = folder / "docs"
    for name, text in documents.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, "utf-8")
    async with PhaseFlow(folder / "kb.db") as flow:
        await finished(await flow.start("kb", source))
        return [await flow.search("kb", query, mode=mode, limit=limit) for query in queries]


def versions() -> dict[str, str]:
    return {
        f"release-{a}{b}{c}.md": f"# Release\n\nThis release is {a}.{b}.{c} and replaces {c}.{a}.{b} of last year."
        for a in range(1, 5)
        for b in range(4)
        for c in range(4)
    }


async def test_an_identifier_finds_first_the_document_that_holds_it(tmp_path: Path) -> None:
    documents = {
        name: text
        for name, text in versions().items()
        if sum(f"{name[8]}.{name[9]}.{name[10]}" in other for other in versions().values()) == 1
    }
    assert len(documents) > 10
    queries = [f"what changed in {name[8]}.{name[9]}.{name[10]}?" for name in documents]
    found = await searched(tmp_path, versions(), *queries)
    assert [hits[0].uri for hits in found] == list(documents)


async def test_in_a_long_question_only_what_few_passages_hold_comes_first(tmp_path: Path) -> None:
    documents = {f"{n:02}.md": f"IL-6 is one of many, see {n}. " + "Other words follow here. " * 20 for n in range(20)}
    documents["answer.md"] = "Fasting in the winter lowers inflammation markers of older walruses."
    documents["rare.md"] = "The report of case B-17-32 says nothing else. " + "Other words follow here. " * 20
    asked = "does fasting in the winter lower inflammation markers like {} of older walruses"
    common, rare = await searched(tmp_path, documents, asked.format("IL-6"), asked.format("B-17-32"))
    assert (common[0].uri, rare[0].uri) == ("answer.md", "rare.md")


@pytest.mark.thorough
async def test_a_name_of_joined_words_comes_first_where_the_question_is_about_nothing_else(tmp_path: Path) -> None:
    names = ["-".join(part) for part in itertools.permutations(["backup", "update", "order", "engine"], 3)]
    filler = "Order the update, update the backup order, engine by engine. "
    documents = {f"{n}.txt": filler * (n % 5) + f"It is {name} today. " for n, name in enumerate(names)}
    asked = [
        form.format(name) for name in names for form in ("where is {} used?", "{} or which others of it, say when")
    ]
    found = await searched(tmp_path, documents, *asked)
    assert [hits[0].uri for hits in found] == [f"{n // 2}.txt" for n in range(len(asked))]


async def test_words_joined_by_a_hyphen_and_stray_signs_do_not_outweigh_the_rest_of_a_question(tmp_path: Path) -> None:
    other = "Other words follow here. " * 20
    documents = {f"{n:02}.md": f"Papers of room {n} -dash are on shelf {n}. {other}" for n in range(20)}
    documents["form.md"] = f"Birth-weight stands on the second line of the form. {other}"
    documents["asthma.md"] = f"Babies with a low weight at birth suffer from asthma in childhood. {other}"
    documents["jets.md"] = f"Experiments on supersonic jets. {other}"
    asked = ["Birth-weight is associated with childhood asthma", "supersonic jets -dash experimental papers"]
    found = await searched(tmp_path, documents, *asked, mode=SearchMode.WORDS)
    assert [hits[0].uri for hits in found] == ["asthma.md", "jets.md"]


async def test_a_phrase_in_quotes_comes_before_its_words(tmp_path: Path) -> None:
    documents = {f"{n}.txt": "The dead letter of the law, a letter queue, dead as can be." for n in range(5)}
    documents["held.txt"] = "Messages that fail go to the dead letter queue, " + "and so on and on " * 40
    (hits,) = await searched(tmp_path, documents, 'where is the "dead letter queue"')
    assert hits[0].uri == "held.txt"
    assert hits[0].score > 0.5


async def test_a_document_is_found_by_its_title_and_by_its_name(tmp_path: Path) -> None:
    body = "Press the button and wait until the light is green.\n\n"
    documents = {f"{n}.md": f"# Page {n}\n\n{body * 30}" for n in range(8)}
    documents["a.md"] = f"# Walrus lantern guide\n\n{body * 30}"
    documents["deep/ember_falcon.md"] = f"# Page\n\n{body * 30}"
    documents["SafeHarbour2.md"] = f"# Page\n\n{body * 30}"
    asked = ("walrus lantern", "ember falcon", "EmberFalcon", "safe harbour 2")
    found = await searched(tmp_path, documents, *asked)
    assert [hits[0].uri for hits in found] == ["a.md", *2 * ["deep/ember_falcon.md"], "SafeHarbour2.md"]


@pytest.mark.thorough
async def test_a_document_is_found_by_its_tags_and_its_description(tmp_path: Path) -> None:
    body = "Press the button and wait until the light is green.\n\n"
    documents = {f"{n}.md": f"# Page {n}\n\n{body * 30}" for n in range(20)}
    matter = "tags: [okapi, gnu antelope]\ndescription: How to cross where numbats live\n"
    documents["found.md"] = f"---\n{matter}---\n# Page\n\n{body * 30}"
    for mode in (SearchMode.WORDS, SearchMode.HYBRID):
        found = await searched(tmp_path, documents, "okapi", "gnu antelope", "where do numbats live", mode=mode)
        assert [hits[0].uri for hits in found] == ["found.md"] * 3


async def test_what_has_the_name_asked_for_comes_before_what_links_to_it(tmp_path: Path) -> None:
    links = "See [supply chain](supply-chain.md), again [supply-chain.md](supply-chain.md), on the supply chain.\n\n"
    documents = {f"{n}.md": f"# Chapter {n}\n\n{links * 5}" for n in range(30)}
    documents["supply-chain.md"] = (
        "# Where parts come from\n\nPage of an unlike text.\n" + "Nothing else is here. " * 200
    )
    queries = ["supply-chain.md", "Supply-Chain", "where parts come from", "Chapter 7"]
    found = await searched(tmp_path, documents, *queries)
    assert [hits[0].uri for hits in found] == ["supply-chain.md", "supply-chain.md", "supply-chain.md", "7.md"]
    assert all(1 >= hits[0].score >= hits[1].score for hits in found)


async def test_words_joined_in_a_sentence_find_first_the_few_that_hold_them(tmp_path: Path) -> None:
    documents = {f"{n}.md": "Zero downtime is near: near and zero, a downtime of zero. " * 4 for n in range(20)}
    documents["held.md"] = "A migration with near-zero-downtime is planned. " + "Many other words follow here. " * 60
    (hits,) = await searched(tmp_path, documents, "what does the page say about near-zero-downtime?")
    assert hits[0].uri == "held.md"


@pytest.mark.parametrize(
    ("query", "others"),
    first_of_each([("network-connected", 90), ("what does the page say about network-connected?", 30)]),
)
async def test_a_thing_is_found_among_passages_that_only_have_its_words(
    tmp_path: Path, query: str, others: int
) -> None:
    documents = {
        f"{n:02}.md": f"Network connections: what does the page {n} say about networks?" for n in range(others)
    }
    documents["zz.md"] = "It runs on a network-connected set. " + "Many other words follow here. " * 60
    (hits,) = await searched(tmp_path, documents, query)
    assert hits[0].uri == "zz.md"


async def test_a_phrase_of_common_words_is_looked_for_in_a_bounded_part_and_where_it_ranks_high(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {f"{n:02}.md": f"alpha beta gamma {n}, beta gamma alpha beta" for n in range(60)}
    documents["50.md"] = "once upon a time there was beta alpha and nothing more"
    looked: list[tuple[int, int]] = []
    holding = WordTable.holding

    def noted(self: WordTable, expression: str, limit: int, first: int, last: int) -> list[int]:
        looked.append((first >> PIECE_BITS, last >> PIECE_BITS))
        return holding(self, expression, limit, first, last)

    monkeypatch.setattr(WordTable, "holding", noted)
    monkeypatch.setattr(exact_things, "MOST_HAVING", 60)
    monkeypatch.setattr(exact_things, "SLICE", 8)
    (hits,) = await searched(tmp_path, documents, '"beta alpha"')
    assert hits[0].uri == "50.md"
    assert hits[0].score > 0.5 > hits[1].score
    assert max(last - first for first, last in looked) < 8
    assert 0 < sum(last - first + 1 for first, last in looked) < 40


async def test_the_same_text_is_one_hit_that_names_its_other_places(tmp_path: Path) -> None:
    documents = {f"copy-{n}.txt": "Parking permits are renewed in the basement." for n in range(7)}
    documents["other.txt"] = "A permit for the roof is given out upstairs, parking is free."
    (hits,) = await searched(tmp_path, documents, "parking permits", limit=5)
    assert sorted(hit.uri for hit in hits) == ["copy-0.txt", "other.txt"]
    (copy,) = [hit for hit in hits if hit.also_in]
    assert sorted([copy.uri, *(also.uri for also in copy.also_in)]) == [f"copy-{n}.txt" for n in range(7)]


async def test_scores_tell_a_good_answer_from_none(tmp_path: Path) -> None:
    documents = {"a.txt": "Pausing takes effect after the batch in hand.", "b.txt": "Bees make honey in spring."}
    good, gibberish = await searched(tmp_path, documents, "when does pausing take effect", "xqzv brfgl pltk")
    assert 0.4 < good[0].score <= 1
    assert max((hit.score for hit in gibberish), default=0) < 0.15


async def test_a_word_that_stands_nowhere_is_found_in_other_forms_that_begin_like_it(tmp_path: Path) -> None:
    documents = {f"{n:02}.txt": f"Другие слова о погоде и море, {n}." for n in range(20)}
    documents |= {"norm.txt": "Новые стандарты приняты в 2024.", "form.txt": "Стандартов больше нет."}
    documents["code.txt"] = "The part AXK7741 is sold out."
    documents["long.txt"] = "Стандартизированный."
    asked = ["стандартами", "о каких стандартам говорят?", "стандарты", "axk7742", "станок"]
    others, in_question, itself, code, too_short = await searched(tmp_path, documents, *asked, mode=SearchMode.WORDS)
    assert {hit.uri for hit in others} == {"norm.txt", "form.txt"}
    assert {hit.uri for hit in in_question[:2]} == {"norm.txt", "form.txt"}
    assert [hit.uri for hit in itself] == ["norm.txt"]
    assert (code, too_short) == ([], [])
    assert 0 < others[0].score < itself[0].score


async def test_the_search_for_other_forms_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    places_of_forms = WordTable.places_of_forms

    def noted(self: WordTable, beginning: str, shortest: int, longest: int, limit: int) -> tuple[str, str] | None:
        looked.append(beginning)
        return places_of_forms(self, beginning, shortest, longest, limit)

    monkeypatch.setattr(WordTable, "places_of_forms", noted)
    monkeypatch.setattr(word_places, "_MOST_OF_FORMS", 3)
    names = [a + b for a in "bcdf" for b in "klmnp"]
    documents = {f"{n}.txt": f"{name}ulanten" for n, name in enumerate(names)} | {
        "a.txt": "makaroni",
        "b.txt": "makaronu",
    }
    documents |= {f"common-{n}.txt": "pelikani" for n in range(3)}
    many, few, common = await searched(
        tmp_path,
        documents,
        " ".join(["abcd", "ab1234", *(f"{name}ulanto" for name in names)]),
        "makaronas",
        "pelikanas",
        mode=SearchMode.WORDS,
    )
    assert {hit.uri for hit in many} == {f"{n}.txt" for n in range(4)}
    assert len(looked) == 4 + 1 + 1
    assert {hit.uri for hit in few} == {"a.txt", "b.txt"}
    assert common == []


async def test_hits_come_best_first_with_scores_between_0_and_1(tmp_path: Path) -> None:
    await searched(tmp_path, versions())
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for mode in SearchMode:
            hits = await flow.search("kb", "which release replaces 2.1.3", mode=mode, limit=10)
            assert len(hits) == 10
            assert hits.mode is mode
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert all(0 <= score <= 1 for score in scores)


async def test_a_knowledge_base_ranks_as_if_it_were_alone(tmp_path: Path) -> None:
    source = {"a.txt": "The lantern of the harbour", "b.txt": "The harbour in the evening", "c.txt": "An evening walk"}
    (tmp_path / "alone").mkdir()
    (alone,) = await searched(tmp_path / "alone", source, "harbour lantern in the evening")
    other = tmp_path / "other"
    other.mkdir()
    for n in range(40):
        (other / f"{n}.txt").write_text("harbour " * (n + 1) + "lantern", "utf-8")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await finished(await flow.start("neighbour", other))
        await finished(await flow.start("kb", tmp_path / "alone" / "docs"))
        beside = await flow.search("kb", "harbour lantern in the evening")
    assert [hit.model_dump() for hit in beside] == [hit.model_dump() for hit in alone]


@pytest.mark.thorough
async def test_knowledge_bases_in_one_table_find_as_if_each_were_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "_MOST_TABLES", 1)
    monkeypatch.setattr(word_ranking, "MOST_PLACES", 50)
    monkeypatch.setattr(word_places, "MOST_COUNTED", 50)
    monkeypatch.setattr(exact_things, "MOST_HOLDING", 50)
    source = {
        "a.txt": "The lantern-42x of the harbour",
        "b.txt": "The harbour in the evening",
        "c.txt": "Evening walks",
    }
    asked = ["harbour", "lantern-42x", "harbour in the evening", "a.txt", '"in the evening"']
    (tmp_path / "alone").mkdir()
    alone = await searched(tmp_path / "alone", source, *asked, mode=SearchMode.WORDS)
    other = tmp_path / "other"
    other.mkdir()
    for n in range(70):  # they come first in the table, and would take all the room there is
        (other / f"{n}.txt").write_text(f"Another harbour in the evening, and lantern-42x {n}", "utf-8")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await finished(await flow.start("neighbour", other))
        await finished(await flow.start("kb", tmp_path / "alone" / "docs"))
        beside = [await flow.search("kb", each, mode=SearchMode.WORDS) for each in asked]
        monkeypatch.setattr(postings, "_MOST_SHARED", 10)
        await finished(await flow.start("next", tmp_path / "alone" / "docs"))
    assert [[hit.model_dump() for hit in hits] for hits in beside] == [
        [hit.model_dump() for hit in hits] for hits in alone
    ]
    with closing(sqlite3.connect(tmp_path / "kb.db")) as bare:
        assert bare.execute("SELECT shard FROM index_shards ORDER BY shard").fetchall() == [(1,), (1,), (2,)]


@pytest.mark.skipif("PHASEFLOW_CORPORA" not in os.environ, reason="needs the test corpora")
@pytest.mark.thorough
async def test_words_and_vectors_together_rank_better_than_plain_bm25(tmp_path: Path) -> None:
    folder = Path(os.environ["PHASEFLOW_CORPORA"]) / "retrieval"
    made = retrieval.collection(folder)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await finished(await flow.start("kb", folder / "docs"))
        hybrid, _ = await retrieval.measured(flow, made, SearchMode.HYBRID, 10)
    assert hybrid > 1.025 * retrieval.plain_bm25(made)
