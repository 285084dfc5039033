"""The one place that says yes or no: who calls, with which app key, what an operation needs and whether the key has it.

Knows methods, paths, areas and keys. Does not know HTTP connections, storage, definitions as text, or how a refusal is
answered.
"""
