"""An environment's overrides laid over a definition: mappings key by key, everything else whole, null removes."""

from tieline.definitions.tree import Entry, Node, Sort

FIXED = frozenset({"tieline", "api", "environments"})
_TELLING = ("scheme", "type")
_OF_ONE_PIECE = frozenset({"auth", "body", "response"})


def overlay(base: Node, over: Node) -> Node:
    """The definition as one environment sees it, without its environments. Both nodes are left as they are."""
    merged = _merge(base, over, "")
    merged.value.pop("environments", None)
    return merged


def _merge(base: Node, over: Node, key: str) -> Node:
    if base.sort is not Sort.MAPPING or over.sort is not Sort.MAPPING or _is_other(base, over, key):
        return over
    entries: dict[str, Entry] = dict(base.value)
    for name, entry in over.value.items():
        if entry.node.sort is Sort.NULL and name in entries:
            del entries[name]
        elif name in entries:
            entries[name] = Entry(entry.line, entry.column, _merge(entries[name].node, entry.node, name))
        else:
            entries[name] = entry
    return Node(Sort.MAPPING, entries, over.line, over.column)


def _is_other(base: Node, over: Node, key: str) -> bool:
    """Whether ``over`` is of another scheme or type: then nothing of ``base`` goes with it."""
    if key not in _OF_ONE_PIECE:
        return False
    for name in _TELLING:
        if name in over.value and name in base.value and over.value[name].node.value != base.value[name].node.value:
            return True
    return False
