"""OpenAI's files and vector stores: one more face of the same knowledge bases, for clients that speak its protocol.

A vector store is a knowledge base, and has its name as id. A file in it is a document; its uri is ``FILE_ID/FILENAME``.
A document that came in another way is a file, too, with the document's id.
"""

from phaseflow.http.openai import batches, files, search, store_files, stores

ENDPOINTS = [
    *files.ENDPOINTS, *stores.ENDPOINTS, *store_files.ENDPOINTS, *batches.ENDPOINTS, *search.ENDPOINTS,
]  # fmt: skip

__all__ = ["ENDPOINTS"]
