"""Text recognition: which languages there are, as they stand in settings."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from phaseflow.domain.made_values import told_in_words

LANGUAGES = (
    "af", "az", "bs", "ca", "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id",
    "is", "it", "ja", "ku", "la", "lb", "lt", "lv", "mi", "ms", "mt", "nl", "no", "oc", "pl", "pt", "qu", "rm", "ro",
    "sk", "sl", "sq", "sv", "sw", "tl", "tr", "uz", "vi", "zh",
)  # fmt: skip
"""Those that the models in the wheel of ``rapidocr`` read, all of them by one model; codes of ISO 639-1."""


def _known(languages: tuple[str, ...]) -> tuple[str, ...]:
    for language in languages:
        if language not in LANGUAGES:
            raise ValueError(f"{language[:30]!r} is not a language that is recognised: {', '.join(LANGUAGES)}")
    return tuple(dict.fromkeys(languages))


@told_in_words
class OcrSettings(BaseModel):
    """The languages of the pages and pictures whose text is recognised."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    languages: Annotated[tuple[str, ...], Field(min_length=1, max_length=len(LANGUAGES)), AfterValidator(_known)]


def mark(settings: OcrSettings | None) -> str:
    """How a document is made that has pages without text: what changes it makes these documents stale."""
    return " ocr" if settings is None else f" ocr {','.join(sorted(settings.languages))}"
