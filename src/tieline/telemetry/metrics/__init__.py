"""Metrics of all processes of a node: declared in one table, counted in a mapped file, shown as Prometheus text.

``families`` says what there is, ``slots`` where each process counts, ``counting`` how, ``exposition`` how it is shown.
"""
