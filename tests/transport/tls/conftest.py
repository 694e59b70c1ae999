"""A certificate authority of the tests' own."""

import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")
