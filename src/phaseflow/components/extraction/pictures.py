"""Pictures, known by how they begin: what text recognition can read beside pages of PDFs."""

from typing import Final

SIGNATURES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}


def is_picture(data: bytes) -> bool:
    """Say whether this is a picture whose text can be recognised: PNG, JPEG or TIFF."""
    return data.startswith(tuple(SIGNATURES))
