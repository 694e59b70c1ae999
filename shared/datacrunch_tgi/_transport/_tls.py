"""Certificates to trust and to present."""

import ssl
import threading
from dataclasses import dataclass, field

import httpx
from pydantic import SecretStr

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._transport._exceptions import describe

ClientCertificate = str | tuple[str, str] | tuple[str, str, SecretStr] | None


@dataclass(frozen=True)
class TLSConfig:
    """Certificates to trust and to present; files are read when a secure connection first needs them."""

    ca_bundle: str | None = None
    client_certificate: ClientCertificate = None
    server_hostname: str | None = None
    _contexts: list[ssl.SSLContext] = field(default_factory=list, compare=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return the SSL context.

        Raises:
            ArgumentError: A file cannot be read, or is not a certificate.
        """
        with self._lock:
            if not self._contexts:
                self._contexts.append(self._read())
            return self._contexts[0]

    def _read(self) -> ssl.SSLContext:
        bundle = self.ca_bundle
        try:
            context = (
                ssl.create_default_context(cafile=bundle) if bundle else httpx.create_ssl_context()
            )
        except OSError as error:
            raise ArgumentError("ca_bundle", describe(error), value=repr(bundle)) from None
        try:
            self._load_client_certificate(context)
        except OSError as error:
            raise ArgumentError("client_certificate", describe(error)) from None
        return context

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
