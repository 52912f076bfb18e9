import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from phaseflow.components.embedders import StaticEmbedder, make_embedder
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.domain.settings import StaticEmbedderSettings

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


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = find_spec("wordllama")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for name in ("weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"):
        (tmp_path / name).parent.mkdir()
        shutil.copyfile(folder / name, tmp_path / name)
    return tmp_path


def test_a_vector_is_the_normalised_mean_of_the_tokens_vectors(embedder: StaticEmbedder, folder: Path) -> None:
    table = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    long = " ".join(TEXTS) * 100
    for text, vector in zip([*TEXTS, long], embedder.embed_documents([*TEXTS, long]), strict=True):
        mean = table[tokenizer.encode(text, add_special_tokens=False).ids].mean(axis=0)
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
    for file in (copy / "weights").iterdir():
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


@pytest.mark.parametrize(
    "name", ["weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"]
)
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
        "print({'numpy', 'tokenizers', 'safetensors', 'wordllama', 'httpx2'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
