import itertools
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from phaseflow.components.embedders import StaticEmbedder, make_embedder, static, tokenizer
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.settings import StaticEmbedderSettings
from tests.matrices import examples

TEXTS = [
    "How do I plan for a region outage?",
    "Deploy to several regions, and rehearse the failover.",
    "  white\n\nspace\t and CRLF\r\n",
    "漢字 e\u0301 👩‍👩‍👧 กรุงเทพ",
    "<s> not a sign of its own </s>",
    "x" * 300,
    "a",
]


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return StaticEmbedder()


FILES = ("vectors.npy", "merges.npy", "tokens.json")


@dataclass(frozen=True)
class Original:
    """The model as wordllama has it, from which the files in the package were made."""

    tokenizer: Tokenizer
    tokens: dict[str, int]
    merges: list[list[str]]
    vectors: npt.NDArray[np.float16]

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found


@pytest.fixture(scope="module")
def original() -> Original:
    spec = find_spec("wordllama")
    assert spec
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    file = folder / "tokenizers/l2_supercat_tokenizer_config.json"
    model = json.loads(file.read_text("utf-8"))["model"]
    made = Tokenizer.from_file(str(file))
    made.no_truncation()
    vectors = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    return Original(made, model["vocab"], [merge.split(" ") for merge in model["merges"]], vectors)


@pytest.fixture(scope="module")
def own() -> tokenizer.Tokenizer:
    return tokenizer.Tokenizer(static._FOLDER)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copyfile(static._FOLDER / name, tmp_path / name)
    return tmp_path


def test_the_files_are_made_from_those_of_wordllama(original: Original) -> None:
    tokens = original.tokens
    assert np.array_equal(np.load(static._FOLDER / "vectors.npy"), original.vectors)
    merges = [[tokens[a], tokens[b], tokens[a + b]] for a, b in original.merges]
    assert np.array_equal(np.load(static._FOLDER / "merges.npy"), np.array(merges, np.uint16))
    held = json.loads((static._FOLDER / "tokens.json").read_text("utf-8"))
    assert held["characters"] == {token: number for token, number in tokens.items() if len(token) == 1}
    plain = [token for token, number in tokens.items() if number >= tokenizer.FIRST_BYTE + 256]
    assert held["pairs"] == "".join(sorted({a + b for token in plain for a, b in itertools.pairwise(token)}))
    assert [tokens[f"<0x{byte:02X}>"] for byte in range(256)] == list(range(3, 259))
    assert {name: tokens[name] for name in tokenizer.SPECIAL} == tokenizer.SPECIAL


LETTERS = st.sampled_from(
    [*"abenwIx019 .,-=_*#/\\()[]<>\n\t\0", "\u2581", "é", "ß", "漢", "字", "か", "ก", "👩", "\u200d"]
)
PIECES = st.one_of(
    st.text(LETTERS, max_size=40),
    st.sampled_from(["<s>", "</s>", "<unk>", " the", "enden", "----", "\n\n"]),
    st.builds(lambda letter, times: letter * times, LETTERS, st.integers(1, 200)),
    st.text(max_size=20),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_the_tokens_are_those_of_the_library(original: Original, own: tokenizer.Tokenizer, text: str) -> None:
    assert own.ids(text) == original.ids(text)


@pytest.mark.thorough
def test_long_words_and_long_texts_have_the_same_tokens_too(original: Original, own: tokenizer.Tokenizer) -> None:
    for text in ("=" * 20_000, "aB3/" * 10_000, "漢字" * 20_000, "word  and\n" * 20_000, "x" * 70_000 + " y" * 40_000):
        assert own.ids(text) == original.ids(text)


def test_only_so_many_words_are_remembered(own: tokenizer.Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MOST_KNOWN", 100)
    fresh = tokenizer.Tokenizer(static._FOLDER)
    for number in range(300):
        assert fresh.ids(f"word{number} q{number}") == own.ids(f"word{number} q{number}")
        assert len(fresh._known) <= 100
    fresh.ids("z" * (tokenizer.LONGEST_KNOWN + 1))
    assert max(map(len, fresh._known)) <= tokenizer.LONGEST_KNOWN


def test_a_vector_is_the_normalised_mean_of_the_tokens_vectors(embedder: StaticEmbedder, original: Original) -> None:
    table = original.vectors.astype(np.float64)
    long = " ".join(TEXTS) * 100
    for text, vector in zip([*TEXTS, long], embedder.embed_documents([*TEXTS, long]), strict=True):
        mean = table[original.ids(text)].mean(axis=0)
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_vectors_are_float32_of_length_one(embedder: StaticEmbedder) -> None:
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_text_without_tokens_is_zeros_and_no_texts_are_no_rows(embedder: StaticEmbedder) -> None:
    assert not embedder.embed_documents([""]).any()
    assert not embedder.embed_query("").any()
    assert embedder.embed_documents([]).shape == (0, embedder.dimension)


def test_a_vector_does_not_depend_on_the_texts_beside_it(embedder: StaticEmbedder) -> None:
    together = embedder.embed_documents([*TEXTS, "w " * 260_000, *TEXTS])
    alone = [embedder.embed_query(text) for text in TEXTS]
    assert np.array_equal(together[: len(TEXTS)], alone)
    assert np.array_equal(together[-len(TEXTS) :], alone)


def test_what_is_near_in_meaning_is_near(embedder: StaticEmbedder) -> None:
    question, answer, *others = embedder.embed_documents(
        [
            "How do I plan for a region outage?",
            "Deploy to several regions, and rehearse the failover.",
            "The cake needs butter, sugar and three eggs.",
            "Violins are tuned in fifths.",
        ]
    )
    assert all(question @ answer > question @ other for other in others)


def test_threads_that_call_at_once_get_their_own_vectors() -> None:
    fresh = StaticEmbedder()
    batches = [[f"text {number} of batch {batch}" for number in range(50)] for batch in range(16)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(fresh.embed_documents, batches))
    for batch, vectors in zip(batches, found, strict=True):
        assert np.array_equal(vectors, fresh.embed_documents(batch))


def test_the_files_are_read_once_for_all_embedders_of_a_process(copy: Path) -> None:
    first, second = StaticEmbedder(copy), StaticEmbedder(copy)
    vector = first.embed_query(TEXTS[0])
    for file in copy.iterdir():
        file.unlink()
    assert np.array_equal(second.embed_query(TEXTS[0]), vector)


async def test_the_settings_make_the_embedder() -> None:
    async with make_embedder(StaticEmbedderSettings()) as port:
        assert port.fingerprint == StaticEmbedder().fingerprint
        assert port.fingerprint.startswith("wordllama-l2-supercat-256:")
        assert (port.batch_size, port.in_flight, port.dimension) == (64, 2, 256)
        assert (await port.embed(TEXTS)).shape == (len(TEXTS), 256)
        assert (await port.embed_query("a")).shape == (256,)


def test_a_copy_of_the_files_is_as_good(copy: Path, embedder: StaticEmbedder) -> None:
    assert StaticEmbedder(copy).fingerprint == embedder.fingerprint


@pytest.mark.parametrize("name", FILES)
def test_missing_or_damaged_files_are_named_at_once(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(ComponentUnavailable, match="damaged; install it again"):
        StaticEmbedder(copy)
    (copy / name).unlink()
    with pytest.raises(ComponentUnavailable, match=f"{name} cannot be read"):
        StaticEmbedder(copy)


def test_neither_the_import_nor_the_making_loads_the_heavy_libraries() -> None:
    program = (
        "import sys; from phaseflow.components.embedders import StaticEmbedder, OpenAIEmbedder; StaticEmbedder();"
        "OpenAIEmbedder('http://host', 'm');"
        "print({'numpy', 'httpx2', 'phaseflow.components.embedders.tokenizer'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
