"""A raw-socket server that breaks the rules of HTTP when asked to, and one spelling for both clients.

Every test that has a server or a caller runs on both engines and on http and https.
"""

import asyncio
import ipaddress
import json
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from datacrunch_tgi import Answer, AsyncClient, Client, DataCrunchError
from datacrunch_tgi._resolve import resolve

PATIENCE = 10.0
"""Seconds after which a test stops waiting for something that should be immediate."""


@dataclass(frozen=True)
class Received:
    """One request, as the server read it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Http:
    """The bytes of responses, and of a stream's events."""

    def response(self, status: int, body: bytes | str = b"", **headers: str) -> bytes:
        content = body.encode() if isinstance(body, str) else body
        return _head(status, {"content_length": str(len(content)), **headers}) + content

    def json(self, status: int, body: Any, **headers: str) -> bytes:
        return self.response(status, json.dumps(body), content_type="application/json", **headers)

    def answer(self, text: str = "Hi you", **headers: str) -> bytes:
        return self.json(200, {"generated_text": text}, **headers)

    def head(self, **headers: str) -> bytes:
        """Begin a stream."""
        reported = {"content-type": "text/event-stream", "transfer-encoding": "chunked", **headers}
        return _head(200, reported)

    def chunk(self, data: bytes) -> bytes:
        """Wrap bytes as one HTTP chunk; no bytes end the body."""
        return b"%x\r\n%s\r\n" % (len(data), data)

    def event(self, text: str, generated: str | None = None, end: bytes = b"\n") -> bytes:
        token = {"id": 1, "text": text, "logprob": -0.1, "special": False}
        return self.data({"token": token, "generated_text": generated, "details": None}, end)

    def data(self, value: Any, end: bytes = b"\n") -> bytes:
        return b"data:" + json.dumps(value, ensure_ascii=False).encode() + end + end

    def events(self, *texts: str, end: bytes = b"\n") -> bytes:
        """All events of an answer."""
        first = [self.event(text, end=end) for text in texts[:-1]]
        return b"".join([*first, self.event(texts[-1], "".join(texts), end)])

    def stream(self, *pieces: bytes, **headers: str) -> bytes:
        """Write a whole stream: each piece a chunk, and its end."""
        return self.head(**headers) + b"".join(map(self.chunk, [*pieces, b""]))


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} .", *lines, "", ""]).encode()


class Peer:
    """The server's end of one connection, in a thread of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_secure = isinstance(sock, ssl.SSLSocket)
        self.received: Received
        self._file = sock.makefile("rb")

    def receive(self) -> bool:
        """Read the next request into `received`; False when the client has closed."""
        try:
            first = self._file.readline().decode("latin-1").split()
            if not first:
                return False
            headers = {}
            while line := self._file.readline().strip().decode("latin-1"):
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = self._file.read(int(headers.get("content-length", 0)))
        except OSError:
            return False
        self.received = Received(first[0], first[1], headers, body)
        return True

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Break the connection as a crash does; of TLS a reset would overtake what was sent."""
        if not self.is_secure:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.sock.close()

    def wait_until_left(self, seconds: float = PATIENCE) -> bool:
        """Whether the client closes the connection within so many seconds."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Script = bytes | Callable[[Peer], None]


class Server:
    """Answers request after request by the scripts, the last of them over and over."""

    def __init__(
        self, scripts: tuple[Script, ...], tls: Callable[..., socket.socket] | None = None
    ) -> None:
        self.scripts = scripts
        self.requests: list[Received] = []
        self.ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.receive: Callable[[Peer], bool] = Peer.receive
        self.accepted = self.open = self.most_open = 0
        self._tls = tls
        self._lock = threading.Lock()
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._start(self._accept)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(PATIENCE)
        for peer in self._peers:
            with suppress(OSError):  # it may have ended by itself
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def wait_until_ended(self) -> None:
        """Wait until one more connection has ended."""
        self.ended.get(timeout=PATIENCE)

    def _start(self, run: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=run, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    sock, _ = self._listener.accept()
                except OSError:
                    return
                self.accepted += 1
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        peer = Peer(sock)
        try:
            if self._tls:
                peer = Peer(self._tls(sock))
            self._peers.append(peer)
            while self.receive(peer):
                with self._lock:
                    script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                    self.requests.append(peer.received)
                if callable(script):
                    script(peer)
                else:
                    peer.send(script)
        except (OSError, ValueError):  # the other side has gone, or the script has closed
            pass
        finally:
            peer.close()
            with self._lock:
                self.open -= 1
            self.ended.put(self.open)


@dataclass
class Authority:
    """A certificate authority, and certificates that it signed, as files."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        others = "digital_signature content_commitment key_encipherment data_encipherment"
        others += " key_agreement encipher_only decipher_only"
        may = dict.fromkeys(others.split(), False)
        signs = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **may)
        authority = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._certificate(self._subject, self._key, authority, signs)
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, password: str = "") -> tuple[str, str]:
        """Make files of a certificate, together with its key, and of the key alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        host: x509.GeneralName = x509.DNSName(name)
        with suppress(ValueError):
            host = x509.IPAddress(ipaddress.ip_address(name))
        certificate = self._certificate(subject, key, x509.SubjectAlternativeName([host]))
        hidden: Any = serialization.NoEncryption()
        if password:
            hidden = serialization.BestAvailableEncryption(password.encode())
        pkcs8 = serialization.PrivateFormat.PKCS8
        secret = key.private_bytes(serialization.Encoding.PEM, pkcs8, hidden)
        both, alone = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        both.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        alone.write_bytes(secret)
        return str(both), str(alone)

    def _certificate(self, subject: x509.Name, key: Any, *extensions: x509.ExtensionType) -> Any:
        now, own = datetime.now(UTC), self._key.public_key()
        builder = x509.CertificateBuilder(self._subject, subject, key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        for named in (
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(own),
        ):
            builder = builder.add_extension(named, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """What a server needs that has a certificate for this name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.sign(name)[0])
        return context

    def secure(self, name: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Any:
        """For `serve`: make a server's socket secure."""
        return secure_by(context or self.context(name))


def secure_by(context: ssl.SSLContext) -> Callable[[socket.socket], socket.socket]:
    def secure(sock: socket.socket) -> socket.socket:
        secure = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        try:
            secure.do_handshake()
        except OSError:
            with secure, suppress(OSError):
                while socket.socket.recv(secure, 65536):
                    pass  # closed too early, a reset would overtake what TLS has to say
            raise
        return secure

    return secure


@dataclass
class Taken:
    """What a caller got: texts as they came, then an answer or an error."""

    texts: list[str] = field(default_factory=list)
    answer: Answer | None = None
    error: DataCrunchError | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def whole(self, answer: Answer) -> None:
        self.answer = answer
        self.texts.append(answer.text)

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except DataCrunchError as error:
            self.error = error


class Threads:
    """The client of threads, in one spelling with that of event loops: `ask` gives back what came."""

    def __init__(self, settings: Any) -> None:
        self.client = Client(**settings)
        self.close = self.client.close

    def ask(self, route: str, inputs: str = "Hello", **parameters: Any) -> Taken:
        taken = Taken()
        with taken.errors():
            if route == "generate":
                taken.whole(self.client.generate(inputs, **parameters))
                return taken
            with self.client.stream(inputs, **parameters) as events:
                for event in events:
                    taken.texts.append(event.text)
                taken.answer = events.answer
        return taken


class Loop:
    """The client of event loops, in a loop that only runs while it is asked something."""

    def __init__(self, settings: Any) -> None:
        self.client = AsyncClient(**settings)
        self._runner = asyncio.Runner()
        self.run, self.close = self._runner.run, self._runner.close

    def ask(self, route: str, inputs: str = "Hello", **parameters: Any) -> Taken:
        return self.run(self._ask(route, inputs, **parameters))

    async def _ask(self, route: str, inputs: str, **parameters: Any) -> Taken:
        taken = Taken()
        with taken.errors():
            if route == "generate":
                taken.whole(await self.client.generate(inputs, **parameters))
                return taken
            async with self.client.stream(inputs, **parameters) as events:
                async for event in events:
                    taken.texts.append(event.text)
                taken.answer = events.answer
        return taken


ALL_WAYS = [("httpx", "http"), ("fast", "https"), ("httpx", "https"), ("fast", "http")]
TWO_WAYS = ALL_WAYS[:2]
"""Both engines and both schemes, for tests in which one does not depend on the other."""
DEPENDENT = ("test_framing", "test_leaving", "test_time_limits", "test_connections", "test_early")
OF_ONE_SCHEME = ("tls", "proxies", "test_framing_fuzz")
"""Folders and modules of tests that have a scheme of their own."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on both engines, and over http and https."""
    if not {"serve", "caller", "engine"} & {*metafunc.fixturenames}:
        return
    module = metafunc.module.__name__.rpartition(".")[2]
    ways = ALL_WAYS if module in DEPENDENT else TWO_WAYS
    if {module, metafunc.definition.path.parent.name} & {*OF_ONE_SCHEME}:
        ways = [("httpx", "http"), ("fast", "http")]
    ids = [f"{engine}-{scheme}" for engine, scheme in ways]
    metafunc.parametrize("_way", ways, ids=ids, indirect=True)


@pytest.fixture(autouse=True)
def _way(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> tuple[str, str]:
    """The engine that settings have unless a test says otherwise, and the scheme of servers."""
    way: tuple[str, str] = getattr(request, "param", ("httpx", "http"))
    monkeypatch.setattr(
        "datacrunch_tgi._settings.resolve",
        lambda settings, environment: resolve({"engine": way[0], **settings}, environment),
    )
    if way[1] == "https":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return way


@pytest.fixture
def engine(_way: tuple[str, str]) -> str:
    return _way[0]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture
def http() -> Http:
    return Http()


@pytest.fixture
def serve(_way: tuple[str, str], authority: Authority) -> Iterator[Callable[..., Server]]:
    """Start servers; they are stopped when the test ends."""
    servers: list[Server] = []

    def start(*scripts: Script, tls: Callable[..., socket.socket] | None = None) -> Server:
        if _way[1] == "https":
            tls = authority.secure()
        servers.append(Server(scripts, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that answers no attempt to connect, because its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 -- the socket's API
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for each in waiting:
            each.close()


@pytest.fixture(params=[Threads, Loop], ids=["threads", "loop"])
def caller(request: pytest.FixtureRequest) -> Iterator[Callable[..., Threads | Loop]]:
    """Make callers, in threads and in an event loop; nothing is left open when the test ends."""
    callers: list[Threads | Loop] = []

    def make(base_url: str, **settings: Any) -> Threads | Loop:
        callers.append(request.param({"base_url": base_url, **settings}))
        return callers[-1]

    yield make
    for made in callers:
        made.close()
