"""A private key, encrypted with a password: PKCS #8 in PEM (RFC 5958), which openssl reads too.

cryptography writes the same form with 2048 rounds, and takes no other number: the structure is put together here.
"""

from __future__ import annotations

import base64
import os
import textwrap

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.x509 import ObjectIdentifier

ROUNDS = 600_000  # as OWASP asks of PBKDF2 with HMAC-SHA256; a password that is tried takes a fifth of a second
_PBES2 = ObjectIdentifier("1.2.840.113549.1.5.13")
_PBKDF2 = ObjectIdentifier("1.2.840.113549.1.5.12")
_HMAC_SHA256 = ObjectIdentifier("1.2.840.113549.2.9")
_AES_256_CBC = ObjectIdentifier("2.16.840.1.101.3.4.1.42")


@asn1.sequence
class _Hash:
    algorithm: ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class _Rounds:
    salt: bytes
    count: int
    hash: _Hash


@asn1.sequence
class _Derivation:
    algorithm: ObjectIdentifier
    parameters: _Rounds


@asn1.sequence
class _Encryption:
    algorithm: ObjectIdentifier
    vector: bytes


@asn1.sequence
class _Scheme:
    derivation: _Derivation
    encryption: _Encryption


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: _Scheme


@asn1.sequence
class _EncryptedKey:
    algorithm: _Algorithm
    data: bytes


def pem(key: ec.EllipticCurvePrivateKey, password: bytes) -> bytes:
    """Return the key in PEM, encrypted with AES-256 under ROUNDS of PBKDF2."""
    salt, vector = os.urandom(16), os.urandom(16)
    rounds = _Rounds(salt=salt, count=ROUNDS, hash=_Hash(algorithm=_HMAC_SHA256, parameters=asn1.Null()))
    scheme = _Scheme(
        derivation=_Derivation(algorithm=_PBKDF2, parameters=rounds),
        encryption=_Encryption(algorithm=_AES_256_CBC, vector=vector),
    )
    data = _encrypted(key, PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS).derive(password), vector)
    der = asn1.encode_der(_EncryptedKey(algorithm=_Algorithm(algorithm=_PBES2, parameters=scheme), data=data))
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{lines}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode()


def _encrypted(key: ec.EllipticCurvePrivateKey, derived: bytes, vector: bytes) -> bytes:
    plain = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    padder = PKCS7(algorithms.AES.block_size).padder()
    cipher = Cipher(algorithms.AES(derived), modes.CBC(vector)).encryptor()
    return cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
