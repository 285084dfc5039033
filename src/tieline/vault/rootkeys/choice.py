"""Where the root key comes from, as an operator chose it. Light, since every process reads it; opens nothing."""

from dataclasses import dataclass
from pathlib import Path

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.vault.ports import RootKind

_PARAM = "root_key"


@dataclass(frozen=True, slots=True)
class RootKeySource:
    """``path`` is the file of kind ``file``; ``variable`` the name that kind ``env`` reads.

    ``secret`` is the text of that variable, or the passphrase; None where there is none.
    """

    kind: RootKind
    path: Path | None = None
    variable: str = ""
    secret: Secret | None = None

    def __str__(self) -> str:
        return {"file": f"file:{self.path}", "env": f"env:{self.variable}", "passphrase": "passphrase"}[self.kind]


def split_source(text: str, where: str) -> tuple[RootKind, str]:
    """The kind of ``file:PATH``, ``env:VARIABLE`` or ``passphrase``, and what follows it.

    Raises SettingsError that names ``where`` it was given and does not repeat it: it may be a key given by mistake.
    """
    kind, colon, rest = text.partition(":")
    if kind == "awskms" and colon:
        raise SettingsError(
            f"{where} is in AWS KMS (awskms:), which is not supported in this version: give file:PATH, env:VARIABLE or "
            "passphrase.",
            param=_PARAM,
        )
    if kind == "file" and rest and "\0" not in rest:
        return "file", rest
    if kind == "env" and rest.isascii() and rest.isidentifier():
        return "env", rest
    if text == "passphrase":
        return "passphrase", ""
    raise SettingsError(f"{where} is not usable: give file:PATH, env:VARIABLE or passphrase.", param=_PARAM)
