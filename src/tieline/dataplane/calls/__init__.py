"""A run of a call, without HTTP: arguments in, an answer, a file or items out (docs/calls.md).

``run`` has the order; ``snapshot.calls`` what a definition says of a call, compiled when it is first run. The rest is
one matter each: ``answering``, ``streaming`` and ``pages`` read what comes, ``caching`` and ``idempotency`` keep it,
``recording`` is what is kept, ``results`` what is given, ``drift`` what is counted.
"""
