"""The door ``/call/{api}/{call}``: a call's parameters in, its typed answer out (docs/calls.md).

``door`` admits and answers, ``running`` sends; ``compiled`` is what a definition says of a call, made ready once. The
rest is one matter each: parameters, answers, streams, pages, cache, idempotency, drift.
"""
