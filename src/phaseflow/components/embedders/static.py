"""Sentence vectors without a server or a download: the word vectors of a model that the package carries."""

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from phaseflow.domain.errors import ComponentUnavailable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from phaseflow.components.embedders.tokenizer import Tokenizer
    from phaseflow.components.protocols import Vectors

    Table = npt.NDArray[np.float16] | npt.NDArray[np.float32]

_FOLDER: Final = Path(__file__).parent / "l2_supercat"
_VECTORS: Final = "vectors.npy"
_FILES: Final = (_VECTORS, "merges.npy", "tokens.json")
_ROWS: Final = 32_000
_DIMENSION: Final = 256
# Of the name and files in wordllama 0.4, from which these were made: other ones would give other vectors, so that they
# need another fingerprint.
_FINGERPRINT: Final = f"wordllama-l2-supercat-{_DIMENSION}:59ccd740"
_KNOWN_DIGEST: Final = "c265aaece4f56996438874fec51e1489"
# Reading 16 MB whole takes 20 ms at every start; 128 slices of 16 kB take 4 ms. The other files are less than that.
_SLICES: Final = 128
_SLICE_BYTES: Final = 16_384
_BLOCK_TOKENS: Final = 4_096
"""Gathered rows take 1,024 bytes a token: they are bounded whatever the texts are."""


class StaticEmbedder:
    """The mean of a text's token vectors, normalised to length 1; a text without tokens is all zeros.

    The files are looked at when it is made (ComponentUnavailable if they are missing or not the known ones) and
    loaded on first use, once for all of a process: 0.02 s, and 32 MB once it embeds documents; of a query, only the few
    rows are read. A text's vector does not depend on the texts beside it. Thread-safe: calls run side by side.
    """

    batch_size = 64
    in_flight = 2
    remote = True
    """It may run on a cluster: it needs nothing but what is installed, and its calls cost nothing."""
    dimension = _DIMENSION

    def __init__(self, folder: Path | None = None) -> None:
        self._given = () if folder is None else (folder,)
        self._folder = folder or _FOLDER
        _check_files(self._folder)
        self.fingerprint = _FINGERPRINT
        self._lock = Lock()
        self._model: _Model | None = None

    def __reduce__(self) -> "tuple[type[StaticEmbedder], tuple[Path, ...]]":
        return StaticEmbedder, self._given

    def embed_documents(self, texts: list[str]) -> "Vectors":
        """Return float32 of shape (n, 256)."""
        model = self._loaded()
        return model.embed(texts, model.wide_table())

    def embed_query(self, text: str) -> "npt.NDArray[np.float32]":
        """Return float32 of shape (256,)."""
        model = self._loaded()
        vector: npt.NDArray[np.float32] = model.embed([text], model.table)[0]
        return vector

    def _loaded(self) -> "_Model":
        with self._lock:
            if self._model is None:
                self._model = _load(self._folder)
            return self._model


class _Model:
    """``table``: a row a token, float16 as it lies in the file, of which a query reads its few rows."""

    def __init__(self, tokenizer: "Tokenizer", table: "npt.NDArray[np.float16]") -> None:
        import numpy as np

        self.table = table
        self._tokenizer = tokenizer
        self._ones = np.ones(_BLOCK_TOKENS, np.float32)
        self._wide: Vectors | None = None
        self._lock = Lock()

    def wide_table(self) -> "Vectors":
        """The same as float32: summing float16 rows takes three times as long, for 16 MB less."""
        import numpy as np

        with self._lock:
            if self._wide is None:
                self._wide = self.table.astype(np.float32)
            return self._wide

    def embed(self, texts: list[str], table: "Table") -> "Vectors":
        import numpy as np

        sums = np.zeros((len(texts), _DIMENSION), np.float32)
        for row, text in enumerate(texts):
            self._add_up(self._tokenizer.ids(text), sums[row], table)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        np.divide(sums, lengths, out=sums, where=lengths > 0)
        return sums

    def _add_up(self, ids: list[int], total: "npt.NDArray[np.float32]", table: "Table") -> None:
        """Sum the rows; the mean has the same direction. Twenty times as fast as np.add.reduceat over a batch."""
        import numpy as np

        for at in range(0, len(ids), _BLOCK_TOKENS):
            part = ids[at : at + _BLOCK_TOKENS]
            total += self._ones[: len(part)] @ table[part].astype(np.float32, copy=False)


def _check_files(folder: Path) -> None:
    digest = blake2b(digest_size=16)
    for name in _FILES:
        try:
            _add_file(digest, folder / name)
        except OSError as error:
            raise _unavailable(f"{name} cannot be read ({error.strerror})") from error
    if digest.hexdigest() != _KNOWN_DIGEST:
        raise _unavailable(f"the files in {folder} are not those it was made with, or they are damaged")


def _add_file(digest: blake2b, path: Path) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "little"))
    with path.open("rb", buffering=0) as file:
        if size <= _SLICES * _SLICE_BYTES:
            digest.update(file.read())
            return
        for number in range(_SLICES):
            file.seek(size * number // _SLICES)
            digest.update(file.read(_SLICE_BYTES))


@lru_cache(maxsize=1)  # 32 MB that never change: all engines and knowledge bases of a process can have the same
def _load(folder: Path) -> _Model:
    import numpy as np

    from phaseflow.components.embedders.tokenizer import Tokenizer

    table = np.load(folder / _VECTORS, mmap_mode="r")
    if table.shape != (_ROWS, _DIMENSION):
        raise _unavailable(f"its table has the shape {table.shape}")
    return _Model(Tokenizer(folder), table)


def _unavailable(why: str) -> ComponentUnavailable:
    return ComponentUnavailable(
        f"the static embedder cannot be used: {why}; install it again: "
        "pip install --force-reinstall --no-deps phaseflow"
    )
