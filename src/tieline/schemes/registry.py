"""Every scheme by name, and what they say of a whole definition: its credential's fields and how they are checked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tieline.core import pasted
from tieline.core.errors import CredentialMissing, InvalidInput
from tieline.core.secret import Secret
from tieline.definitions.model import AuthSpec, Definition
from tieline.definitions.variables import fill_options, samples
from tieline.schemes.api_key import ApiKey, Bearer
from tieline.schemes.aws_sigv4 import AwsSigV4
from tieline.schemes.base import Applier, Checking, Options, Scheme, SchemeField, Static
from tieline.schemes.basic import Basic
from tieline.schemes.connections import OPTION as CONNECTIONS
from tieline.schemes.connections import check_mode, mode_of
from tieline.schemes.digest import Digest
from tieline.schemes.flow import Renewal, Renewing, SigningIn, SigningInByDevice
from tieline.schemes.hawk import Hawk
from tieline.schemes.hmac import Hmac
from tieline.schemes.jwt import Jwt
from tieline.schemes.login.scheme import Login
from tieline.schemes.mtls import Mtls
from tieline.schemes.none import NoScheme
from tieline.schemes.oauth1 import OAuth1
from tieline.schemes.oauth2.scheme import OAuth2
from tieline.schemes.wsse import Wsse


class Registry:
    """The schemes there are."""

    def __init__(self, schemes: Sequence[Scheme]) -> None:
        self._schemes = {scheme.name: scheme for scheme in schemes}

    def names(self) -> Sequence[str]:
        return tuple(self._schemes)

    def get(self, name: str) -> Scheme:
        """The scheme called ``name``; raises ``KeyError`` where there is none."""
        return self._schemes[name]

    def check(self, scheme: str, options: Options) -> list[str]:
        """What is wrong with the options of a scheme that exists, a sentence each."""
        found = self._schemes[scheme]
        if not isinstance(found, Renewing):
            return found.check(options)
        own = {name: value for name, value in options.items() if name != CONNECTIONS}
        return found.check(own) or check_mode(options, signs_in=found.renews(own) and found.needs_sign_in(own))


SCHEMES = Registry(
    (
        NoScheme(),
        ApiKey(),
        Bearer(),
        Basic(),
        Digest(),
        OAuth1(),
        OAuth2(),
        Login(),
        Jwt(),
        AwsSigV4(),
        Hmac(),
        Mtls(),
        Wsse(),
        Hawk(),
    ),
)


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One field of an API's credential: its name there, what it is, and the scheme it belongs to (by position).

    ``scheme`` is None for a private header, parameter, variable or call parameter of the definition.
    """

    name: str
    field: SchemeField
    scheme: int | None


def credential_fields(definition: Definition) -> tuple[CredentialField, ...]:
    """The fields of the credential that ``definition`` needs.

    A single scheme's fields go by their own names; where several are applied, each goes by ``<scheme>.<field>``, the
    second of the same kind by ``<scheme>2.<field>`` and so on.
    """
    found: list[CredentialField] = []
    for position, auth in enumerate(_readable(definition)):
        prefix = _prefix(definition.auth, position)
        fields = SCHEMES.get(auth.scheme).fields(auth.options)
        found += [CredentialField(prefix + field.name, field, position) for field in fields]
    found += [CredentialField(name, SchemeField(name, name), None) for name in definition.private_fields()]
    return tuple(found)


def public_fields(definition: Definition, given: Collection[str]) -> frozenset[str]:
    """The names of those fields ``given`` in a credential whose values are no secrets: user names and ids."""
    found = set()
    for each in credential_fields(definition):
        prefix = each.name.removesuffix(each.field.name)
        beside = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
        if each.name in given and not each.field.is_secret(beside):
            found.add(each.name)
    return frozenset(found)


def cut_fields(fields: Mapping[str, Secret]) -> tuple[dict[str, Secret], dict[str, str]]:
    """A new credential's values without what is not to be seen at their ends, and what was cut off, by field."""
    found, gone = {}, {}
    for name, value in fields.items():
        text, what = pasted.cut(value.reveal_bytes().decode())
        found[name] = Secret.from_text(text)
        if what:
            gone[name] = what
    return found, gone


def check_fields(definition: Definition, fields: Mapping[str, Secret]) -> None:
    """Check a new credential's values, of which ``cut_fields`` has cut off what may be.

    Raises:
        InvalidInput: a field is unknown, missing or empty, holds a line break or another character that is not to be
            seen, or is no key or certificate where one is wanted.
    """
    known = {each.name: each.field for each in credential_fields(definition)}
    for name, value in fields.items():
        if name not in known:
            takes = ", ".join(known) or "none at all"
            raise InvalidInput(f"The credential has no field {name!r}; this API takes {takes}.", param=name)
        if not value:
            raise InvalidInput(f"The field {name!r} is empty. Give its value.", param=name)
        unseen = pasted.unseen_within(value.reveal_bytes().decode(), multiline=known[name].multiline)
        if unseen is not None:
            raise InvalidInput(
                f"The field {name!r} holds a line break or another character that is not to be seen ({unseen}). Paste "
                "the value alone.",
                param=name,
            )
    missing = [name for name, field in known.items() if field.required and name not in fields]
    if missing:
        raise InvalidInput(f"The credential lacks {', '.join(missing)}. Give every field.", param=missing[0])
    if known and not fields:
        raise InvalidInput(f"The credential has no value. Give at least one of {', '.join(known)}.")
    for auth, prefix, own in _divided(definition, fields):
        scheme = SCHEMES.get(auth.scheme)
        if isinstance(scheme, Checking):
            try:
                scheme.check_values(auth.options, own)
            except CredentialMissing as error:
                raise InvalidInput(error.public, param=prefix + error.param if error.param else None) from None


def bind(definition: Definition, fields: Mapping[str, Secret]) -> tuple[Applier | Renewal, ...]:
    """Every scheme in order, holding its values of ``fields``; one with a lifetime still needs its token."""
    bound: list[Applier | Renewal] = []
    for position, (auth, _, own) in enumerate(_divided(definition, fields)):
        scheme = SCHEMES.get(auth.scheme)
        if isinstance(scheme, Renewing) and scheme.renews(auth.options):
            bound.append(Renewal(scheme, auth.options, own, position, scheme.signal(auth.options)))
        else:
            assert isinstance(scheme, Static)  # it is one or the other
            bound.append(scheme.bind(auth.options, own))
    return tuple(bound)


def _divided(
    definition: Definition, fields: Mapping[str, Secret]
) -> Iterator[tuple[AuthSpec, str, Mapping[str, Secret]]]:
    """Each scheme in order, the prefix of its fields, and those of ``fields`` that are its own, by their own names."""
    for position, auth in enumerate(_readable(definition)):
        prefix = _prefix(definition.auth, position)
        names = [field.name for field in SCHEMES.get(auth.scheme).fields(auth.options)]
        yield auth, prefix, {name: fields[prefix + name] for name in names if prefix + name in fields}


def sign_in_schemes(definition: Definition, way: type[SigningIn] | type[SigningInByDevice]) -> list[tuple[int, str]]:
    """Position and mode (option ``connections``) of the schemes that people sign in to in this ``way``."""
    found = []
    for position, auth in enumerate(_readable(definition)):
        scheme = SCHEMES.get(auth.scheme)
        if isinstance(scheme, way) and scheme.renews(auth.options) and scheme.needs_sign_in(auth.options):
            found.append((position, mode_of(auth.options)))
    return found


def _readable(definition: Definition) -> list[AuthSpec]:
    """The schemes of ``definition`` with options that can be read: variables that are not filled in yet have a sample.

    With the same samples the options were found to be right when the definition was read.
    """
    found = samples(definition)
    return [AuthSpec(each.scheme, fill_options(each.options, found)) for each in definition.auth]


def bound_hosts(definition: Definition) -> tuple[str, ...]:
    """Where the credential of a resolved ``definition`` may go unless it says: the API's hosts, and its issuers'."""
    hosts = list(definition.hosts)
    for auth in definition.auth:
        scheme = SCHEMES.get(auth.scheme)
        if isinstance(scheme, Renewing) and scheme.renews(auth.options):
            hosts += scheme.hosts(auth.options)
    return tuple(dict.fromkeys(hosts))


def _prefix(specs: Sequence[AuthSpec], position: int) -> str:
    if len(specs) == 1:
        return ""
    scheme = specs[position].scheme
    nth = sum(spec.scheme == scheme for spec in specs[: position + 1])
    return f"{scheme}{nth if nth > 1 else ''}."
