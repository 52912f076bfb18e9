"""Worker processes: what a document may cost, and that nothing of them stays behind. The processes are real."""

import os
import resource
import select
import signal
import subprocess
import sys
import textwrap
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import anyio
import pytest

from phaseflow.components.extraction.types import Extracted
from phaseflow.components.workers.frames import Decoder, Frame, encode
from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.process import Limits
from phaseflow.domain.errors import DocumentError, WorkerUnavailable
from tests.matrices import first_of_each, together
from tests.stopwatch import Stopwatch, fail_soon

RTF = rb"{\rtf1 Hello from a worker.\par}"
MIB = 1 << 20


@pytest.fixture
async def pool() -> AsyncIterator[ExtractionPool]:
    async with ExtractionPool(size=2) as made:
        yield made


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have every worker that starts from now on run this when it reads a PDF, as a broken or hijacked parser would."""

    def replace(code: str) -> None:
        (tmp_path / "pypdfium2.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)

    return replace


async def until(condition: Callable[[], object]) -> None:
    with fail_soon(20):
        # Nothing tells when a process of the system has ended.
        while not condition():  # noqa: ASYNC110  # nothing tells of it
            await anyio.sleep(0.01)


def is_there(pid: int) -> bool:
    """Whether the process exists and is more than an entry waiting to be read."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def failure(pool: ExtractionPool, data: bytes, name: str) -> DocumentError:
    with fail_soon(60), pytest.raises(DocumentError) as caught:
        await pool.extract(data, name)
    return caught.value


async def hung(pool: ExtractionPool) -> int:
    """Let the pool have one worker, stopped in its tracks."""
    await read_in_the_end(pool)
    [pid] = pool.pids
    os.kill(pid, signal.SIGSTOP)
    return pid


def big_docx(paragraphs: int) -> bytes:
    body = "<w:p><w:r><w:t>Some text that takes time to read.</w:t></w:r></w:p>" * paragraphs
    return docx(f'<w:document xmlns:w="w"><w:body>{body}</w:body></w:document>'.encode())


def docx(document: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", document)
    return file.getvalue()


def packed_spaces(mebibytes: int) -> bytes:
    """What ``zlib.compress`` makes of so many of them, without packing each anew."""
    one, check = b" " * MIB, 1
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = packer.compress(one) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(mebibytes):
        check = zlib.adler32(one, check)
    return b"\x78\x9c" + block * mebibytes + packer.flush() + check.to_bytes(4)


def pdf_bomb(mebibytes: int) -> bytes:
    """A page whose content is packed twice, as pdfium unpacks it in memory."""
    content = zlib.compress(packed_spaces(mebibytes))
    head = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    head += b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
    filters = b"/Filter[/FlateDecode/FlateDecode]"
    body = b"4 0 obj<</Length %d%b>>stream\n%b\nendstream endobj\n" % (len(content), filters, content)
    return head + body + b"trailer<</Root 1 0 R>>\n%%EOF"


async def test_a_worker_gives_what_extraction_gives(pool: ExtractionPool) -> None:
    found = await pool.extract(RTF, "folder/a.rtf")
    assert found == Extracted("Hello from a worker.", "a.rtf", "text/markdown", read_as="application/rtf")


async def test_the_declared_type_and_charset_reach_the_worker(pool: ExtractionPool) -> None:
    page = await pool.extract("<p>Grüße".encode("cp1252"), "page", declared_charset="cp1252", declared_type="text/html")
    assert page.text == "Grüße"


async def test_no_worker_runs_before_the_first_document(pool: ExtractionPool) -> None:
    assert pool.pids == []


async def test_a_worker_is_used_again(pool: ExtractionPool) -> None:
    await pool.extract(RTF, "a.rtf")
    before = pool.pids
    await pool.extract(RTF, "b.rtf")
    assert pool.pids == before


@pytest.mark.thorough
async def test_there_are_never_more_workers_than_places(pool: ExtractionPool) -> None:
    seen = set()
    data = big_docx(2000)

    async def read(number: int) -> None:
        await pool.extract(data, f"{number}.docx")
        seen.update(pool.pids)

    with fail_soon(60):
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(read, number)
    assert len(seen) <= 2


async def test_a_document_error_keeps_its_code_and_the_worker(pool: ExtractionPool) -> None:
    error = await failure(pool, b"no pdf", "a.pdf")
    assert (error.code, error.counts) == ("malformed", True)
    assert len(pool.pids) == 1


async def test_what_does_not_count_does_not_count_from_a_worker_either(pool: ExtractionPool) -> None:
    error = await failure(pool, b"\x7fELF", "a.exe")
    assert (error.code, error.counts) == ("unsupported_format", False)


async def test_a_document_that_hangs_costs_its_time_and_its_worker() -> None:
    async with ExtractionPool(size=1, limits=Limits(time_s=0.5)) as pool:
        pid = await hung(pool)
        error = await failure(pool, RTF, "slow.rtf")
        assert error.code == "extraction_timeout"
        assert "slow.rtf took more than 0.5 s" in str(error)
        assert not is_there(pid)
        assert await read_in_the_end(pool) == "Hello from a worker."


async def read_in_the_end(pool: ExtractionPool) -> str:
    """Read a document in a pool whose time is short: on a busy machine it may be too short for a worker that starts."""
    with fail_soon(20):
        while True:
            try:
                return (await pool.extract(RTF, "next.rtf")).text
            except DocumentError as error:
                if error.code != "extraction_timeout":
                    raise


async def test_a_document_larger_than_the_pipe_does_not_hide_a_hang() -> None:
    async with ExtractionPool(size=1, limits=Limits(time_s=0.5)) as pool:
        await hung(pool)
        error = await failure(pool, RTF + b" " * MIB, "slow.rtf")
        assert error.code == "extraction_timeout"


@pytest.mark.thorough
async def test_a_worker_that_ends_in_a_document_costs_it_one_more_try(pool: ExtractionPool) -> None:
    pid = await hung(pool)
    async with anyio.create_task_group() as tasks:

        async def crash() -> None:
            await anyio.wait_all_tasks_blocked()
            os.kill(pid, signal.SIGKILL)

        tasks.start_soon(crash)
        assert (await pool.extract(RTF, "fine.rtf")).text
    assert not is_there(pid)


async def test_a_crash_costs_one_document(pool: ExtractionPool, parser: Callable[[str], None]) -> None:
    parser("import signal; signal.raise_signal(signal.SIGSEGV)")
    await pool.extract(RTF, "before.rtf")
    error = await failure(pool, b"%PDF-1.4", "evil.pdf")
    assert error.code == "extraction_crashed"
    assert "SIGSEGV" in str(error)
    assert (await pool.extract(RTF, "next.rtf")).text


FORGE = """
import os, struct, json
from phaseflow.components.workers.frames import encode
def links():
    for each in os.listdir("/proc/self/fd"):
        if int(each) > 2 and os.path.exists(f"/proc/self/fd/{each}"):
            yield int(each), os.readlink(f"/proc/self/fd/{each}")
[answers] = [number for number, link in links() if link.startswith("pipe:")]
forged = {"status": "read", "title": "t", "type": "text/plain", "parts": []}
"""
HIJACKED = {
    "a frame of any length": 'os.write(answers, struct.pack(">IQ", 2**32 - 1, 2**63))',
    "an answer to no request": 'os.write(answers, b"".join(encode(forged, b"forged")))',
    "a head that is not JSON": 'os.write(answers, struct.pack(">IQ", 2, 0) + b"{]")',
    "a head that is no object": 'os.write(answers, struct.pack(">IQ", 2, 0) + b"[]")',
    "a head nested without end": 'os.write(answers, struct.pack(">IQ", 300_000, 0) + b"[" * 300_000)',
    "text that is not UTF-8": 'os.write(answers, b"".join(encode({**forged, "id": ID}, bytes([255]))))',
    "parts of another shape": 'os.write(answers, b"".join(encode({**forged, "id": ID, "parts": [[1]]}, b"x")))',
    "no title": 'os.write(answers, b"".join(encode({"id": ID, "status": "read"}, b"x")))',
    "two answers": 'os.write(answers, b"".join([*encode({**forged, "id": ID}, b"x"), *encode(forged, b"forged")]))',
}
OWN_ID = """
import sys
frame = sys._getframe()
while "answers" not in frame.f_locals or "head" not in frame.f_locals:
    frame = frame.f_back
ID = frame.f_locals["head"]["id"]
"""


FORBIDDEN = {
    "open a socket": "import socket; socket.socket()",
    "connect two sockets": "import socket; socket.socketpair()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'])",
    "become a program": "import os; os.execv('/bin/true', ['true'])",
    "fork": "import os; os.fork()",
    "write a file": "open('/tmp/phaseflow-confined', 'w')",
    "append to a file": "open(__file__, 'a')",
    "remove a file": "import os; os.remove(__file__)",
    "make a folder": "import os; os.mkdir(__file__ + '.d')",
    "rename a file": "import os; os.rename(__file__, __file__ + '.x')",
    "change a mode": "import os; os.chmod(__file__, 0o777)",
    "signal the service": "import os; os.kill(os.getppid(), 0)",
    "read the service's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "read the service's environment": "import os; open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
    "limit the service": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (9, 9))",
    "open many files": "files = [open('/dev/null') for _ in range(100)]",
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines a process without privileges")
async def test_a_worker_does_nothing_but_read(
    pool: ExtractionPool, parser: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    for deed, code in FORBIDDEN.items():
        parser(f"try:\n {code}\nexcept (OSError, ValueError) as error:\n raise RuntimeError({deed!r}) from error\n")
        error = await failure(pool, b"%PDF-1.4", "evil.pdf")
        assert f"RuntimeError: {deed}" in str(error)
    assert len(pool.pids) == 1, "all of them were refused to the same worker"


_LOOKS_AT_ITS_PARENT = """
import os, resource, sys  # of the interpreter of root, which another user may not read
from phaseflow.components.workers import confinement
from phaseflow.components.workers.confinement import confine, hide_memory

who, hidden = sys.argv[1:]
if who == "another" and os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    confinement._prctl(4, 1)  # as a process is that has been this user from its start
if hidden == "hidden":
    assert hide_memory()
child = os.fork()
if child == 0:
    confinement._fenced = lambda: False  # a kernel without Landlock
    confine(files=64)
    try:
        open(f"/proc/{os.getppid()}/environ", "rb").read()
    except OSError:
        os._exit(0)
    os._exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has /proc")
@pytest.mark.parametrize(
    ("who", "hidden", "refused"),
    [("root", "shown", True), ("root", "hidden", True), ("another", "hidden", True), ("another", "shown", False)],
)
def test_a_worker_cannot_read_the_keys_of_its_service_without_landlock_either(
    who: str, hidden: str, refused: bool
) -> None:
    if who == "root" and os.geteuid() != 0:
        pytest.skip("only root can be root")
    words = [sys.executable, "-c", _LOOKS_AT_ITS_PARENT, who, hidden]
    assert subprocess.run(words, timeout=100, check=False).returncode == (0 if refused else 7)


async def test_a_worker_can_start_threads(pool: ExtractionPool, parser: Callable[[str], None]) -> None:
    parser("from threading import Thread\nThread(target=print).start()\nraise RuntimeError('started')")
    assert "started" in str(await failure(pool, b"%PDF-1.4", "a.pdf"))


@pytest.mark.parametrize(
    "name", first_of_each(HIJACKED, lambda name: name.endswith(("request", "two answers")) and name)
)
async def test_nonsense_from_a_worker_costs_its_document_and_the_worker(
    pool: ExtractionPool, parser: Callable[[str], None], name: str
) -> None:
    parser(FORGE + OWN_ID + HIJACKED[name] + "\nimport time; time.sleep(50)")
    watch = Stopwatch()
    error = await failure(pool, b"%PDF-1.4", "evil.pdf")
    assert error.code == "extraction_crashed"
    assert "nonsense" in str(error)
    assert watch.within(20)
    assert pool.pids == []
    assert (await pool.extract(RTF, "next.rtf")).text == "Hello from a worker."


async def test_what_a_worker_says_unasked_never_becomes_the_next_document(
    pool: ExtractionPool, parser: Callable[[str], None]
) -> None:
    parser(
        FORGE + "from threading import Timer\n"
        'Timer(0.2, os.write, (answers, b"".join(encode({**forged, "id": ""}, b"forged")))).start()'
    )
    await failure(pool, b"%PDF-1.4", "evil.pdf")
    assert isinstance(pool.workers, LocalWorkers)
    [worker] = pool.workers._idle
    process = worker._process
    assert process is not None
    stdout = process.stdout
    assert stdout is not None
    await anyio.to_thread.run_sync(lambda: select.select([stdout], [], [], 20))
    assert (await pool.extract(RTF, "next.rtf")).text == "Hello from a worker."
    assert process.pid not in pool.pids


@pytest.mark.thorough
async def test_a_bomb_in_native_code_is_stopped_at_the_limit_of_memory() -> None:
    async with ExtractionPool(size=1, limits=Limits(memory_bytes=100 * MIB)) as pool:
        error = await failure(pool, pdf_bomb(400), "bomb.pdf")
        assert error.code in ("extraction_memory", "extraction_crashed")
        assert (await pool.extract(RTF, "next.rtf")).text


async def test_a_bomb_in_python_is_stopped_at_the_limit_of_memory() -> None:
    async with ExtractionPool(size=1, limits=Limits(memory_bytes=60 * MIB)) as pool:
        text = b"<w:t>" + b"x" * (50 * MIB) + b"</w:t>"
        error = await failure(pool, docx(b'<w:d xmlns:w="w"><w:p>%b</w:p></w:d>' % text), "bomb.docx")
        assert error.code == "extraction_memory"
        assert "60 MiB" in str(error)


@pytest.mark.parametrize(
    "raised",
    ["ImportError('x.so: failed to map segment from shared object')", "OSError(12, 'Cannot allocate memory')"],
)
async def test_a_library_that_finds_no_room_is_want_of_memory(
    pool: ExtractionPool, parser: Callable[[str], None], raised: str
) -> None:
    parser(f"raise {raised}")
    assert (await failure(pool, b"%PDF-1.4", "a.pdf")).code == "extraction_memory"


@pytest.mark.thorough
async def test_a_worker_that_died_between_documents_is_no_documents_fault(pool: ExtractionPool) -> None:
    await read_in_the_end(pool)
    [pid] = pool.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not pool.pids)  # all of its threads, not only the first
    assert (await pool.extract(RTF, "b.rtf")).text


async def test_cancelling_kills_the_worker_at_once(pool: ExtractionPool) -> None:
    pid = await hung(pool)
    watch = Stopwatch()
    with anyio.move_on_after(0.1):
        await pool.extract(RTF, "a.rtf")
    assert watch.within(0.5)
    await until(lambda: not pool.pids)
    assert not is_there(pid)


async def test_cancelling_a_start_leaves_nothing(pool: ExtractionPool) -> None:
    for wait_s in (0, 0.001, 0.02, 0.05):
        with anyio.move_on_after(wait_s):
            await pool.extract(big_docx(5000), "a.docx")
    await pool.aclose()
    assert pool.pids == []


async def test_an_idle_worker_ends() -> None:
    async with ExtractionPool(size=1, limits=Limits(idle_s=0.05)) as pool:
        await pool.extract(RTF, "a.rtf")
        [pid] = pool.pids
        await until(lambda: not is_there(pid))
        assert (await pool.extract(RTF, "b.rtf")).text


async def test_closing_ends_idle_and_busy_workers() -> None:
    pool = ExtractionPool(size=2)
    pid = await hung(pool)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(failure, pool, RTF, "a.rtf")
        await anyio.wait_all_tasks_blocked()
        await pool.extract(RTF, "b.rtf")
        pids = {pid, *pool.pids}
        await pool.aclose()
    assert len(pids) == 2
    assert not any(is_there(each) for each in pids)


async def test_a_closed_pool_is_as_new(pool: ExtractionPool) -> None:
    await pool.extract(RTF, "a.rtf")
    await pool.aclose()
    assert (await pool.extract(RTF, "a.rtf")).text


async def test_a_worker_leaves_interrupts_to_the_service(pool: ExtractionPool) -> None:
    await pool.extract(RTF, "a.rtf")
    [pid] = pool.pids
    for each in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, each)
    await pool.extract(RTF, "b.rtf")
    assert pool.pids == [pid]


NO_PYTHON = ("/no/such/python", "/bin/false")


@pytest.mark.parametrize("name", NO_PYTHON)
async def test_an_interpreter_that_cannot_be_started_is_worth_another_try(
    pool: ExtractionPool, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, "executable", name)
    with pytest.raises(WorkerUnavailable, match="worker process") as caught:
        await pool.extract(RTF, "a.rtf")
    assert name not in str(caught.value), "clients learn no path of the server"
    monkeypatch.undo()
    assert (await pool.extract(RTF, "a.rtf")).text


async def test_a_worker_that_this_process_has_no_descriptor_for_is_worth_another_try(pool: ExtractionPool) -> None:
    assert (await pool.extract(RTF, "a.rtf")).text
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 1, hard))
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(WorkerUnavailable, match=r"a worker process \(Too many open files\); free resources"):
            await pool.extract(RTF, "a.rtf")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    assert (await pool.extract(RTF, "a.rtf")).text


async def test_when_no_process_starts_for_long_documents_fail_at_once_until_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    async with ExtractionPool(size=1, clock=lambda: now) as pool:
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(WorkerUnavailable):
            await pool.extract(RTF, "a.rtf")
        now = 31.0
        error = await failure(pool, RTF, "a.rtf")
        assert (error.code, error.counts) == ("worker_unavailable", False)
        monkeypatch.undo()
        assert (await failure(pool, RTF, "b.rtf")).code == "worker_unavailable"  # no start is tried so soon
        now = 37.0
        assert (await pool.extract(RTF, "c.rtf")).text


async def test_a_worker_knows_no_secrets(pool: ExtractionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASEFLOW_TOKEN", "secret-of-the-service")
    await pool.extract(RTF, "a.rtf")
    assert b"secret-of-the-service" not in Path(f"/proc/{pool.pids[0]}/environ").read_bytes()


HOST = """
import anyio
from phaseflow.components.workers.local import LocalWorkers
from phaseflow.components.workers.pool import ExtractionPool

async def main():
    pool = ExtractionPool(size=1)
    found = await pool.extract(rb"{\\rtf1 x}", "a.rtf")
    print(found.text, *pool.pids, flush=True)
    %s

anyio.run(main)
"""


def host(code: str, way: str) -> "subprocess.Popen[str]":
    words = ["-c", code] if way == "-c" else ["-"]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=path
    )
    assert process.stdin is not None
    process.stdin.write("" if way == "-c" else code)
    process.stdin.close()
    return process


@pytest.mark.parametrize("way", first_of_each(["-c", "stdin"]))
async def test_a_host_program_needs_no_main_module_and_no_guard(way: str) -> None:
    with host(textwrap.dedent(HOST % "await pool.aclose()"), way) as process:
        assert process.stdout is not None
        text, pid = process.stdout.read().split()
    assert (text, process.returncode) == ("x", 0)
    assert not is_there(int(pid))


@pytest.mark.parametrize(
    "ending",
    first_of_each(
        ["return", "await anyio.sleep(60)", "import os; os.kill(os.getpid(), 9)"], lambda ending: "kill" in ending
    ),
)
async def test_no_worker_outlives_its_service(ending: str) -> None:
    with host(textwrap.dedent(HOST % ending), "-c") as process:
        assert process.stdout is not None
        _, pid = process.stdout.readline().split()
        if "sleep" in ending:
            process.kill()
        process.wait(60)
    await until(lambda: not is_there(int(pid)))


@together("step", [1, 7, 1000])
def test_frames_survive_any_cut(step: int) -> None:
    sent: list[Frame] = [({"name": "ä"}, b"\0body"), ({}, b""), ({"n": 1}, b"x" * 3000)]
    data = b"".join(piece for head, body in sent for piece in encode(head, body))
    decoder, got = Decoder(), []
    for place in range(0, len(data), step):
        decoder.feed(data[place : place + step])
        while (frame := decoder.take()) is not None:
            got.append(frame)
    assert got == sent


def test_a_worker_imports_little_before_its_first_document() -> None:
    """A third of its start was for one name in ``asyncio``."""
    code = "import sys; from phaseflow.components.workers import child; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=100, capture_output=True, text=True)
    assert not {"asyncio", "numpy", "pydantic", "ssl", "phaseflow.components.protocols"} & set(done.stdout.split())
