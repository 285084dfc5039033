"""Whether the names of an object's members are data, so that the object is a map: numbers, ids, domains, codes.

Knows names only. In doubt a name is a name: what is taken for data is not offered as a field.
"""

import re
from collections.abc import Collection
from typing import Final

from tieline.definitions.infer import paths

_TOP_LEVELS: Final = (
    "com|net|org|io|dev|app|co|ai|me|tv|info|biz|edu|gov|mil|int|eu|us|uk|ca|au|de|fr|es|it|nl|ch|at|be|se|no|pl|cz|jp|cn"
    "|in|br|ru|kr|cloud|xyz|online|shop|site|tech|example|test|local|internal"
)
_DATA: Final = re.compile(
    r"-?[0-9]+(?:\.[0-9]+)?"
    r"|v?[0-9]+(?:\.[0-9]+)+(?:[-+:][0-9A-Za-z.+-]+)?"  # versions, IPv4 addresses with or without a port
    r"|[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[T ].*)?)?|[0-9]{4}-?[QW][0-9]{1,2}|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?"
    r"|[0-9A-Za-z]{8}(?:-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12}|[0-9A-Fa-f]{16,}"  # UUIDs, hashes
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"  # ULIDs
    r"|[0-9]+-[0-9]+|[0-9.]{1,9}[+%]"  # ranges and shares
    r"|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"  # IPv6 addresses, hardware addresses
    r"|/.*|[a-z]+://.*|(?:arn|urn):.*|[a-z0-9]+(?::[a-z0-9_.-]+){2,}|[^\s/]+(?:/[^\s/]+)+"  # paths, names with slashes
    r"|[^@\s]+@[^@\s]+\.[a-z]+"
    rf"|(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:{_TOP_LEVELS})(?::[0-9]+)?"  # domains
    r"|[a-z]{1,10}_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{10,}"
    r"|[a-z]{1,10}-(?:[0-9]{2,}|(?=[a-z]*[0-9])[a-z0-9]{3,})"  # ids with a prefix
    r"|(?=[A-Z-]*[0-9])[A-Z0-9]+(?:-[A-Z0-9]+)+"  # SKUs
    r"|(?=[^0-9]*[0-9][^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9_-]{20,}"  # ids without one
    r"|[a-z]{2,3}[-_](?:[A-Z]{2}|[A-Z][a-z]{3}|[0-9]{3})"  # locales
)
_COUNTRIES: Final = frozenset(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "  # noqa: SIM905
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET EU FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM "
    "JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
    "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE "
    "RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT "
    "TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW".split()
)
_CURRENCIES: Final = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTC BTN BWP BYN BZD CAD CDF "  # noqa: SIM905
    "CHF CLF CLP CNH CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB ETH EUR FJD FKP GBP GEL GGP GHS GIP GMD "
    "GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT "
    "LAK LBP LKR LRD LSL LTC LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR "
    "PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP "
    "SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USDC USDT UYU UZS VES VND VUV WST XAF XAG XAU XCD XDR XOF XPD "
    "XPF XPT YER ZAR ZMW ZWL".split()
)
_LANGUAGES: Final = frozenset(
    "af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fil fr ga gl gu he hi hr hu hy is it ja ka kk km "  # noqa: SIM905
    "kn ko ky lo lt lv mk ml mn mr ms my nb ne nl nn no pa pl ps pt ro ru si sk sl sq sr sv sw ta te th tl tr uk ur uz "
    "vi zh zu zh-Hans zh-Hant".split()
)
_STATES: Final = frozenset(
    "AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR "  # noqa: SIM905
    "PA PR RI SC SD TN TX UT VA VT WA WI WV WY".split()
)
_DAYS: Final = frozenset("monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun".split())  # noqa: SIM905
_MONTHS: Final = frozenset(
    "january february march april may june july august september october november december "  # noqa: SIM905
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_CODES: Final = (
    _COUNTRIES,
    _STATES,
    _CURRENCIES,
    frozenset(code.lower() for code in _COUNTRIES),
    frozenset(code.lower() for code in _CURRENCIES),
    _LANGUAGES,
)
_LEAST_CODES: Final = 2
_CODE: Final = re.compile(r"[A-Z][A-Z0-9]{1,4}")


def is_data(name: str) -> bool:
    """Whether a name is a piece of data (number, version, date, id, path, domain, address) or longer than names are."""
    return len(name) > paths.MOST_KEY or _DATA.fullmatch(name) is not None


def are_data(found: Collection[str]) -> bool:
    """Whether all of an object's names are data, or two and more are codes: of countries, currencies, languages, days.

    No names at all are none.
    """
    if not found:
        return False
    if all(map(is_data, found)):
        return True
    if len(found) < _LEAST_CODES:
        return False
    named = {name.lower() for name in found}
    return any(codes.issuperset(found) for codes in _CODES) or named <= _DAYS or named <= _MONTHS


def are_codes(found: Collection[str]) -> bool:
    """Whether three and more names look like codes that nobody knows all of: ``JFK``, ``LAX``, ``SFO``."""
    lengths = {len(name) for name in found}
    return len(found) > _LEAST_CODES and len(lengths) == 1 and all(map(_CODE.fullmatch, found))
