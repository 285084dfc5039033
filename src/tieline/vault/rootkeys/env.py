"""A root key in an environment variable, which ``settings`` has read; only its value comes here."""

from tieline.core.errors import RootKeyError
from tieline.core.secret import Secret
from tieline.vault.rootkeys.key import RootKey, decode


def load(value: Secret, variable: str) -> RootKey:
    """The root key written in ``value``; raises RootKeyError, which names ``variable``, when it holds no key."""
    try:
        return RootKey.of(decode(value))
    except ValueError as error:
        raise RootKeyError(
            f"{variable} holds no root key: it must be 32 random bytes as base64url or hex, such as "
            "`openssl rand -hex 32` prints."
        ) from error
