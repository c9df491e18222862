"""Certificates made on the fly: one private authority, and servers it vouches for or does not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KINDS = ("valid", "wrong-host", "expired", "self-signed")
"""What can be asked for; all but `self-signed` are signed by the private authority."""


class PrivateAuthority:
    """A certificate authority that nobody trusts unless told to.

    Args:
        directory: Where the PEM files go. The caller removes it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.path = os.path.join(directory, "ca.pem")
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("migas tests' private authority")
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), days=2)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_USAGE_OF_AN_AUTHORITY, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        _write(self.path, certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, kind: str = "valid") -> ssl.SSLContext:
        """A server's TLS settings with a new certificate of the given kind.

        Args:
            kind: One of `KINDS`. `valid` holds for 127.0.0.1 and localhost.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("127.0.0.1")
        own = kind == "self-signed"
        names: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        if kind == "wrong-host":
            names = [x509.DNSName("elsewhere.invalid")]
        signer = key if own else self._key
        certificate = (
            _builder(
                subject,
                subject if own else self._name,
                key.public_key(),
                days=-1 if kind == "expired" else 2,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        path = os.path.join(self.directory, f"{kind}.pem")
        _write(
            path,
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


_USAGE_OF_AN_AUTHORITY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=3))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
