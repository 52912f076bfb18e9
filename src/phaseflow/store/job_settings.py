"""The settings that jobs run with: each has those that its knowledge base had when it was made.""" ""

from phaseflow.domain.ocr import OcrSettings
from phaseflow.domain.settings import Settings
from phaseflow.store.transaction import Transaction


def reads_otherwise(tx: Transaction, kb_key: str, settings: str, *, before: int | None = None) -> bool:
    """Whether these settings recognise text in another way than the newest completed job of a knowledge base did, or
    the newest of those ``before`` the one of that number. False when none is completed."""
    found = tx.value(
        "SELECT settings FROM ingestion_jobs AS j WHERE kb_id = ?1 AND managed AND (?2 IS NULL OR seq < ?2) AND EXISTS"
        " (SELECT 1 FROM ingestion_phase_status WHERE job_id = j.id AND phase_name = 'indexing'"
        "  AND status = 'completed') ORDER BY seq DESC LIMIT 1",
        kb_key, before,
    )  # fmt: skip
    return found is not None and _ocr(str(found)) != _ocr(settings)


def made_with(tx: Transaction, job_id: str) -> str | None:
    """What the documents of a job were made with in its runs so far, as ``note_made_with`` has it."""
    found = tx.value("SELECT made_with FROM ingestion_jobs WHERE id = ?", job_id)
    return None if found is None else str(found)


def note_made_with(tx: Transaction, job_id: str, settings: str) -> None:
    """What they are made with, the run included that begins now."""
    tx.run("UPDATE ingestion_jobs SET made_with = ?2 WHERE id = ?1", job_id, settings)


def _ocr(settings: str) -> OcrSettings | None:
    return Settings.model_validate_json(settings).ocr
