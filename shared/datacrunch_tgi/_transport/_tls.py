"""Certificates to trust and to present.

Certificate authorities come from the first of these that is set: `ca_bundle`, SSL_CERT_FILE, SSL_CERT_DIR,
REQUESTS_CA_BUNDLE; otherwise the system's are used, or certifi's if the system has none.
"""

import os
import ssl
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import certifi
import truststore
from pydantic import SecretStr

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._transport._exceptions import describe

ClientCertificate = str | tuple[str, str] | tuple[str, str, SecretStr] | None

SYSTEM_BUNDLES = (
    "/etc/ssl/cert.pem",  # Alpine, Arch, Fedora, BSD
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/cert.pem",  # older ones
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
"""Where systems keep their authorities, for a Python whose OpenSSL looks elsewhere (conda, pyenv)."""
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class _Context:
    """An SSL context that is created once in each process."""

    def __init__(self) -> None:
        self.made: ssl.SSLContext | None = None
        self._lock, self._process = threading.Lock(), os.getpid()

    def lock(self) -> threading.Lock:
        """Return the lock; a forked process gets a new one, because its copy may never be released."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock


@dataclass(frozen=True)
class TLSConfig:
    """Certificates to trust and to present; files are read when a secure connection first needs them.

    Attributes:
        ca_bundle: File or folder of certificate authorities, PEM.
        client_certificate: File, or files of certificate and key, with an optional password.
        server_hostname: Name expected in the server's certificate, if it is not the host's.
    """

    ca_bundle: str | None = None
    client_certificate: ClientCertificate = None
    server_hostname: str | None = None
    _context: _Context = field(default_factory=_Context, compare=False, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return the SSL context.

        Raises:
            ArgumentError: A file cannot be read, or is not a certificate.
        """
        with self._context.lock():
            if self._context.made is None:
                self._context.made = self._read()
            return self._context.made

    def _read(self) -> ssl.SSLContext:
        context = self._trusting()
        context.set_alpn_protocols(["http/1.1"])
        try:
            self._load_client_certificate(context)
        except OSError as error:
            raise ArgumentError("client_certificate", describe(error)) from None
        return context

    def _trusting(self) -> ssl.SSLContext:
        if self.ca_bundle:
            return _from_bundle(self.ca_bundle)
        for variable in VARIABLES:
            if value := os.environ.get(variable):
                return _from_bundle(value, f" (from the variable {variable})")
        if sys.platform in {"win32", "darwin"} or _openssl_has_authorities():
            return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bundle = next((file for file in SYSTEM_BUNDLES if Path(file).is_file()), certifi.where())
        return ssl.create_default_context(cafile=bundle)

    def _load_client_certificate(self, context: ssl.SSLContext) -> None:
        match self.client_certificate:
            case None:
                pass
            case str() as file:
                context.load_cert_chain(file)
            case (certificate, key):
                context.load_cert_chain(certificate, key)
            case (certificate, key, password):
                context.load_cert_chain(certificate, key, password.get_secret_value())


def _from_bundle(bundle: str, source: str = "") -> ssl.SSLContext:
    try:
        if all(
            Path(folder).is_dir() for folder in bundle.split(os.pathsep)
        ):  # OpenSSL takes a list
            return ssl.create_default_context(capath=bundle)
        Path(bundle).stat()
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise ArgumentError("ca_bundle", f"{describe(error)}{source}", value=repr(bundle)) from None


def _openssl_has_authorities() -> bool:
    """Return whether there are authorities where Python's OpenSSL was built to look for them."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or any(Path(paths.capath or "/nowhere").glob("*.[0-9]"))
