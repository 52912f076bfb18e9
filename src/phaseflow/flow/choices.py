"""What a knowledge base can be made from here: folders, embedding servers, and whether an embedder answers."""

from time import perf_counter

import anyio
import anyio.to_thread

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.embedders import EmbedderAdapter
from phaseflow.components.sources.subfolders import folders_in, top_folders
from phaseflow.domain.choices import EmbedderAnswer, EmbeddingServers, FolderListing
from phaseflow.domain.errors import Busy, ComponentError, InvalidRequest
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.settings import FolderSource, Settings
from phaseflow.flow.engine import Engine
from phaseflow.flow.inputs import SettingsLike, as_settings, as_text
from phaseflow.store.knowledge_bases import KnowledgeBases

LISTING_S = 5.0
"""What looking into a folder may take, seconds: a network file system that hangs must not hang its callers."""
ANSWER_S = 15.0
"""What an embedder that is tried out may take, seconds."""
AT_ONCE = 4
"""Embedders that are tried out at the same time; each may hold a connection for as long as it may take."""
_TEXT = "Is anybody there?"


class Choices:
    """Reads only; nothing is stored and no job is made. Every method is safe to cancel."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._components = engine.components
        self._tries = anyio.Semaphore(AT_ONCE)

    async def folders(self, path: str | None = None) -> FolderListing:
        """What a folder holds, or, without a path, the folders that sources may lie below.

        Nothing where the program has not said which those are (``check_source`` with ``roots``). Raises
        SourceNotAllowed as for a source, InvalidRequest for one that cannot be listed, Busy when that takes too long.
        """
        sources = self._components.sources
        roots = sources.roots
        if path == "":
            raise InvalidRequest("path", "must have at least 1 character")
        if path is None or roots is None:
            return top_folders(roots or ())
        with anyio.move_on_after(LISTING_S):
            await sources.check_allowed(FolderSource(path))
            return await call_in_abandonable_thread(lambda: folders_in(path, roots, sources.engine_files))
        raise Busy(f"the folder was not read within {LISTING_S:g} s; try again, or type its path")

    def embedding_servers(self) -> EmbeddingServers:
        """The servers that the operator has named, without addresses and keys."""
        return self._components.access.offered()

    async def try_embedder(self, settings: SettingsLike, kb_id: str | None = None) -> EmbedderAnswer:
        """Ask the embedder of the settings for one vector, as a job with them would: through the same checks.

        ``kb_id``: a job of this knowledge base, which knows who chose the address that it has. What goes wrong with the
        embedder is an answer. Raises SourceNotAllowed and InvalidRequest as a start does, Busy while too many are tried
        out.
        """
        wanted = as_settings(settings) or Settings()
        if kb_id is not None:
            wanted = await self._in_place_of_stored(wanted, as_text("kb_id", kb_id))
        await self._components.check_settings(wanted.model_dump_json())
        try:
            self._tries.acquire_nowait()
        except anyio.WouldBlock:
            raise Busy(f"{AT_ONCE} embedders are being tried out already; try again in some seconds") from None
        begun = perf_counter()
        try:
            dimension, error = await self._answer(wanted)
        finally:
            self._tries.release()
        return EmbedderAnswer(dimension=dimension, error=error, seconds=round(perf_counter() - begun, 3))

    async def _in_place_of_stored(self, settings: Settings, kb_id: str) -> Settings:
        kb = await self._engine.read(lambda tx: KnowledgeBases(tx).find(kb_id))
        return settings if kb is None else settings.in_place_of(Settings.model_validate_json(kb.settings))

    async def _answer(self, settings: Settings) -> tuple[int | None, str | None]:
        try:
            with anyio.move_on_after(ANSWER_S):
                async with self._components.trial_embedder(settings) as embedder:
                    return await _dimension(embedder), None
        except ComponentError as error:
            return None, text_of(error)
        except Exception as error:  # noqa: BLE001  # a program's own embedder may raise anything; the answer says what
            return None, named(error)
        return None, f"no answer within {ANSWER_S:g} s; is the server running, and reachable from this one?"


async def _dimension(embedder: EmbedderAdapter) -> int:
    return int((await embedder.embed_query(_TEXT)).shape[0])
