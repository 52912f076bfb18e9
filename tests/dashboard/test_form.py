"""The form: folders to choose from, several sources, when runs start by themselves, an embedder that is tried out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board, before_saving
from tests.dashboard.service import Service, write_documents
from tests.dashboard.test_verbs import remote

if TYPE_CHECKING:
    from playwright.async_api import Browser


async def opened(board: Board, place: str = "") -> None:
    """The form, for the first knowledge base or for the one at a place."""
    await board.go(place)
    if place:
        await board.page.get_by_role("button", name="Change").click()
    else:
        await board.page.locator(".welcome [data-new]").click()
    await board.page.locator("#kb-form").wait_for(state="visible")


async def saved(board: Board) -> None:
    await board.page.locator("#kb-form").get_by_role("button", name="Save").click()
    await board.page.locator("#kb-form").wait_for(state="hidden")


async def test_a_folder_is_chosen_with_the_keyboard_alone(board: Board, service: Service) -> None:
    write_documents(service.here / "guides" / "deep", 2)
    (service.here / ".hidden").mkdir()
    page = board.page
    await opened(board)
    await page.keyboard.type("guides")
    await page.get_by_role("button", name="Browse").focus()
    await page.keyboard.press("Enter")
    picker = page.locator(".folder-picker")
    await board.until(picker, "guides")
    assert ".hidden" not in await picker.inner_text()
    await picker.get_by_role("button", name="guides").focus()
    await page.keyboard.press("Enter")
    await board.expect(picker.get_by_role("button", name="deep")).to_be_focused()
    await page.keyboard.press("Enter")
    await board.until(picker, "guides/deep: 2 files")
    await board.expect(picker.get_by_role("button", name="Use this folder")).to_be_focused()
    await page.keyboard.press("Enter")
    await picker.wait_for(state="hidden")
    await board.expect(page.get_by_role("button", name="Browse")).to_be_focused()
    assert await page.locator("#f-path").input_value() == "guides/deep"
    await page.get_by_role("button", name="Browse").click()
    await page.keyboard.press("Escape")
    await picker.wait_for(state="hidden")
    await page.get_by_role("button", name="Create").click()
    await board.until_status("guides", "Completed")
    assert service.call("GET", "kb/guides")["source"]["path"] == "guides/deep"


async def test_sources_are_added_renamed_and_taken_out(board: Board, service: Service) -> None:
    for name in ("one", "two"):
        write_documents(service.here / name, 1)
    service.put("docs", "one")
    page = board.page
    await opened(board, "kb/docs")
    await page.get_by_role("button", name="Add a source").click()
    second = page.locator(".one-source").nth(1)
    await second.get_by_label("Name of the source").fill("default")
    await second.get_by_label("Folder", exact=True).fill("two")
    await page.locator("#kb-form").get_by_role("button", name="Save").click()
    await board.until(page.locator("#e-source-2"), "Another source has this name")
    await second.get_by_label("Name of the source").fill("more")
    await second.get_by_label("Folder", exact=True).fill("/etc")
    await page.locator("#kb-form").get_by_role("button", name="Save").click()
    await board.until(page.locator("#e-path-2"), "allow")
    await second.get_by_label("Folder", exact=True).fill("two")
    await saved(board)
    sources = service.call("GET", "kb/docs")["sources"]
    assert {name: source["path"] for name, source in sources.items()} == {"default": "one", "more": "two"}
    await opened(board, "kb/docs")
    await second.get_by_label("Name of the source").fill("other")
    await board.until(page.locator("#h-source-2"), "takes the documents of more out")
    await page.locator(".one-source").first.get_by_role("button", name="Take it out").click()
    await saved(board)
    kb = service.call("GET", "kb/docs")
    assert {name: source["path"] for name, source in kb["sources"].items()} == {"other": "two"}
    assert kb["settings"]["chunk_size"] == 400


async def test_when_runs_start_by_themselves_is_set_and_taken_back(board: Board, service: Service) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    page = board.page
    await opened(board, "kb/docs")
    await page.get_by_label("When a file of a folder changes").check()
    await page.get_by_label("Every").fill("soon")
    await page.locator("#kb-form").get_by_role("button", name="Save").click()
    await board.until(page.locator("#e-every"), "Write a time as 90s, 15m, 6h or 1d")
    await page.get_by_label("Every").fill("6h")
    await saved(board)
    assert service.call("GET", "kb/docs")["settings"]["sync"] == {"every": "6h", "watch": True}
    await opened(board, "kb/docs")
    assert await page.get_by_label("Every").input_value() == "6h"
    await page.get_by_label("Every").fill("")
    await page.get_by_label("When a file of a folder changes").uncheck()
    await saved(board)
    assert service.call("GET", "kb/docs")["settings"].get("sync") is None


async def test_languages_of_scans_and_an_index_server_are_set_and_what_is_wrong_is_said_at_the_field(
    board: Board, service: Service
) -> None:
    service.put("docs", ".")
    page = board.page
    await opened(board, "kb/docs")
    await page.locator("#kb-form summary").click()
    languages, server = page.get_by_label("Read scans in"), page.get_by_label("Index server")
    for field, wrong, at, told in (
        (languages, "en, klingon", "#e-languages", "klingon"),
        (server, "nowhere", "#e-index-server", "nowhere"),
    ):
        await field.fill(wrong)
        await page.locator("#kb-form").get_by_role("button", name="Save").click()
        await board.until(page.locator(at), told)
        await field.fill("")
    await languages.fill("en de")
    await saved(board)
    assert service.call("GET", "kb/docs")["settings"]["ocr"] == {"languages": ["en", "de"]}
    await opened(board, "kb/docs")
    await page.locator("#kb-form summary").click()
    assert await languages.input_value() == "en, de"
    await languages.fill("")
    await saved(board)
    settings = service.call("GET", "kb/docs")["settings"]
    assert (settings.get("ocr"), settings["index"]) == (None, {"type": "embedded"})


async def test_other_kinds_of_sources_keep_what_the_form_does_not_show(board: Board, service: Service) -> None:
    source = {"type": "git", "url": "https://1.1.1.1/guide.git", "ref": "main", "include": ["docs/**"]}
    service.call("PUT", "kb/guide", {"source": source})
    page = board.page
    await opened(board, "kb/guide")
    assert await page.get_by_label("Address", exact=True).input_value() == source["url"]
    await page.get_by_label("Branch, tag or commit").fill("v2")
    await saved(board)
    changed = service.call("GET", "kb/guide")["source"]
    assert (changed["ref"], changed["include"]) == ("v2", ["docs/**"])


@pytest.fixture
def named(tmp_path: Path, embedding: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service whose operator has named an embedding server."""
    servers = {"large": {"base_url": remote(embedding)["base_url"], "model": "big", "api_key_env": "LARGE_KEY"}}
    (tmp_path / "servers.json").write_text(json.dumps(servers))
    environment = {"PHASEFLOW_EMBEDDERS": str(tmp_path / "servers.json"), "LARGE_KEY": "k"}
    with Service(tmp_path, environment=environment) as service:
        yield service


async def test_a_named_server_is_chosen_and_tried_out(
    browser: "Browser", named: Service, embedding: EmbeddingServer
) -> None:
    embedding.gate.set()
    named.call("PUT", "kb/sent", {"source": {"type": "upload"}})
    async with Board.opened(browser, named.url) as board:
        page = board.page
        await opened(board, "kb/sent")
        await page.get_by_text("Passages and vectors").click()
        await page.get_by_text("An embedding server").click()
        await page.get_by_label("Server", exact=True).select_option("large (big)")
        await board.until(page.locator("#h-server"), "Its key is in LARGE_KEY, which is set")
        await page.locator("#f-base-url").wait_for(state="hidden")
        await page.get_by_role("button", name="Test").click()
        await board.until(page.locator(".try"), "It works: vectors of")
        await saved(board)
        assert named.call("GET", "kb/sent")["settings"]["embedder"] == {"type": "openai", "server": "large"}
        await opened(board, "kb/sent")
        await page.get_by_text("Passages and vectors").click()
        assert await page.get_by_label("Server", exact=True).input_value() == "large"
        assert board.complaints == []


async def test_an_embedder_that_does_not_work_says_why(board: Board, service: Service) -> None:
    page = board.page
    await opened(board)
    await page.get_by_text("Passages and vectors").click()
    await page.get_by_text("An embedding server").click()
    await page.get_by_role("button", name="Test").click()
    await board.until(page.locator(".try"), "Enter the address of the server")
    await page.locator("#f-base-url").fill("http://10.0.0.1/v1")
    await page.locator("#f-model").fill("m")
    await page.get_by_role("button", name="Test").click()
    await board.until(page.locator(".try"), "private")
    await page.locator("#f-base-url").fill("http://127.0.0.1:9/v1")
    await board.expect(page.locator(".try [role=status]")).to_have_text("")
    await page.get_by_role("button", name="Test").click()
    await board.until(page.locator(".try"), "annot")


async def test_what_others_have_changed_is_in_the_form_when_it_opens_and_is_not_overwritten(
    board: Board, service: Service
) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    page, form = board.page, board.page.locator("#kb-form")
    await board.go("kb/docs")
    await board.row("docs").wait_for()
    docs = {"type": "folder", "path": "docs"}
    service.call("PUT", "kb/docs", {"sources": {"default": docs, "more": docs | {"include": ["*.md"]}}})
    await page.get_by_role("button", name="Change").click()
    await form.wait_for(state="visible")
    assert await form.locator("[name^='source']").evaluate_all("all => all.map((one) => one.value)") == [
        "default",
        "more",
    ]
    service.call("PUT", "kb/docs", {"sources": {"default": docs, "third": docs}})
    await form.locator("#f-every").fill("6h")
    await form.get_by_role("button", name="Save").click()
    await board.until(form.locator(".meanwhile"), "docs was changed meanwhile, so nothing was saved.")
    assert set(service.call("GET", "kb/docs")["sources"]) == {"default", "third"}
    await board.expect(form.get_by_role("button", name="Show the new values")).to_be_focused()
    await page.keyboard.press("Enter")
    await board.expect(form.locator(".meanwhile")).to_be_hidden()
    await form.locator("#f-every").fill("1d")
    await saved(board)
    after = service.call("GET", "kb/docs")
    assert (set(after["sources"]), after["settings"]["sync"]["every"]) == ({"default", "third"}, "1d")


async def test_a_form_makes_nothing_of_what_is_gone_and_takes_nothing_that_is_there(
    board: Board, service: Service
) -> None:
    write_documents(service.here / "docs", 1)
    for name in ("docs", "other", "third"):
        service.put(name, "docs")
    page, form = board.page, board.page.locator("#kb-form")
    await opened(board, "kb/docs")
    service.call("DELETE", "kb/docs")
    await form.get_by_role("button", name="Save").click()
    await board.until(form.locator(".meanwhile"), "docs was deleted meanwhile, so nothing was saved.")
    await board.expect(form.get_by_role("button", name="Show the new values")).to_be_hidden()
    await page.keyboard.press("Escape")
    await board.until(page.locator(".missing"), "There is no knowledge base docs")
    await board.go("kb/other")
    await board.row("other").wait_for()
    service.call("DELETE", "kb/other")
    await page.get_by_role("button", name="Change").click()
    await board.until(page.locator(".missing"), "There is no knowledge base other")
    await board.expect(form).to_be_hidden()
    service.put("taken", "docs")
    await page.locator(".top-bar [data-new]").click()
    await page.locator("#f-name").fill("taken")
    await page.get_by_label("Folder", exact=True).fill("elsewhere")
    await form.get_by_role("button", name="Create").click()
    await board.until(page.locator("#e-name"), "There is a knowledge base taken already.")
    assert {one["kb_id"] for one in service.call("GET", "kb")["items"]} == {"third", "taken"}
    assert service.call("GET", "kb/taken")["source"]["path"] == "docs"


async def test_a_change_that_comes_while_the_form_is_being_saved_is_not_overwritten(
    board: Board, service: Service
) -> None:
    write_documents(service.here / "docs", 1)
    service.put("docs", "docs")
    page, form = board.page, board.page.locator("#kb-form")
    await opened(board, "kb/docs")
    # What the page does after it has looked, and before it has saved.
    await before_saving(page, "PUT", lambda: service.call("PUT", "kb/docs", {"settings": {"chunk_size": 400}}))
    await form.locator("#f-every").fill("6h")
    await form.get_by_role("button", name="Save").click()
    await board.until(form.locator(".meanwhile"), "docs was changed meanwhile, so nothing was saved.")
    kb = service.call("GET", "kb/docs")
    assert (kb["settings"]["chunk_size"], "sync" in kb["settings"]) == (400, False)
    await page.keyboard.press("Enter")
    await board.expect(form.locator("#f-chunk-size")).to_have_value("400")
    await form.locator("#f-every").fill("6h")
    await saved(board)
    kb = service.call("GET", "kb/docs")
    assert (kb["settings"]["chunk_size"], kb["settings"]["sync"]["every"]) == (400, "6h")


async def test_two_who_make_a_knowledge_base_of_one_name_do_not_overwrite_each_other(
    board: Board, service: Service
) -> None:
    page, form = board.page, board.page.locator("#kb-form")
    await opened(board)
    await form.locator("#f-name").fill("docs")
    await form.get_by_text("Files you send").click()
    await before_saving(
        page,
        "PUT",
        lambda: service.call("PUT", "kb/docs", {"source": {"type": "upload"}, "settings": {"chunk_size": 400}}),
    )
    await form.get_by_role("button", name="Create").click()
    await board.until(form.locator("#e-name"), "There is a knowledge base docs already.")
    assert service.call("GET", "kb/docs")["settings"]["chunk_size"] == 400
