"""An environment's overrides laid over a definition: mappings key by key, everything else whole, null removes."""

from tieline.definitions.tree import KeyedNode, Node, Sort

FIXED = frozenset({"tieline", "api", "environments"})
_TELLING = ("scheme", "type")
_OF_ONE_PIECE = frozenset({"auth", "body", "response"})


def overlay(base: Node, over: Node) -> Node:
    """The definition as one environment sees it, without its environments. Both nodes are left as they are."""
    merged = _merge(base, over, "", is_data=False)
    merged.value.pop("environments", None)
    return merged


def _merge(base: Node, over: Node, key: str, *, is_data: bool) -> Node:
    """``over`` laid over ``base``. In data (a body's template) a null that removes nothing stands for itself."""
    if over.sort is not Sort.MAPPING:
        return over
    mixed = base.sort is Sort.MAPPING and not _is_other(base, over, key)
    entries: dict[str, KeyedNode] = dict(base.value) if mixed else {}
    is_data = is_data or key == "template"
    for name, entry in over.value.items():
        if entry.node.sort is Sort.NULL and (name in entries or not is_data):
            entries.pop(name, None)
            continue
        below = entries[name].node if name in entries else Node(Sort.NULL, None)
        entries[name] = KeyedNode(entry.line, entry.column, _merge(below, entry.node, name, is_data=is_data))
    return Node(Sort.MAPPING, entries, over.line, over.column)


def _is_other(base: Node, over: Node, key: str) -> bool:
    """Whether ``over`` is of another scheme or type: then nothing of ``base`` goes with it."""
    return key in _OF_ONE_PIECE and any(
        name in over.value and name in base.value and over.value[name].node.value != base.value[name].node.value
        for name in _TELLING
    )
