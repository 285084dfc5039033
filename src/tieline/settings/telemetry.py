"""Settings of the telemetry that is sent: where to, what, how much, and with which header fields."""

import re
from typing import Final
from urllib.parse import unquote

from tieline.core.errors import SettingsError
from tieline.core.secret import Secret
from tieline.core.urls import base_url
from tieline.settings.model import OtlpSettings
from tieline.settings.source import Source, listed
from tieline.settings.table import OTLP_HEADERS

SIGNALS: Final = ("traces", "metrics")
_SHARE = re.compile(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?|\.[0-9]{1,6}")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
_FRAMING = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "te"})


def otlp(source: Source) -> OtlpSettings | None:
    """Where telemetry goes, None where none is sent. Raises SettingsError."""
    given = source.text("otlp_endpoint")
    signals = _signals(source)
    sample = _sample(source)
    headers = _headers(source)
    if given is None:
        for name, there in (("--otlp-signal", signals), (OTLP_HEADERS, headers)):
            if there:
                raise SettingsError(
                    f"{name} says what is sent, and nobody where to: give --otlp-endpoint too.", param=name
                )
        return None
    text, where = given
    try:
        url = base_url(text)
    except ValueError:
        msg = f"{where} is not usable: give a collector's URL without /v1/traces, such as http://127.0.0.1:4318."
        raise SettingsError(msg, param="otlp_endpoint") from None
    return OtlpSettings(url, signals or frozenset(SIGNALS), sample, headers)


def _signals(source: Source) -> frozenset[str]:
    found = listed(source, "otlp_signals")
    for text, where in found:
        if text not in SIGNALS:
            raise SettingsError(f'{where} is "{text}": choose traces or metrics.', param="otlp_signals")
    return frozenset(text for text, _ in found)


def _sample(source: Source) -> float:
    text, where = source.or_default("trace_sample")
    if _SHARE.fullmatch(text) is None:
        raise SettingsError(f'{where} is "{text}": give a number from 0 to 1, such as 0.1.', param="trace_sample")
    return float(text)


def _headers(source: Source) -> Secret | None:
    """Header lines of ``name=value`` pairs, parted by commas, values percent-encoded as OpenTelemetry writes them."""
    given = source.variable(OTLP_HEADERS)
    if given is None:
        return None
    lines = []
    for pair in given[0].split(","):
        name, equals, value = pair.strip().partition("=")
        value = unquote(value.strip(), errors="strict") if equals else ""
        good = equals and _NAME.fullmatch(name.strip()) and _VALUE.fullmatch(value)
        if not good or name.strip().lower() in _FRAMING:
            # It holds secrets, so the line repeats nothing of it.
            msg = f"{given[1]} is not usable: give NAME=VALUE, more of them after commas; commas in values as %2C."
            raise SettingsError(msg, param=OTLP_HEADERS)
        lines.append(f"{name.strip()}: {value}\r\n")
    return Secret.from_text("".join(lines))
