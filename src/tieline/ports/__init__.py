"""What the planes need from outside: a module for each thing that is stored, its rows, who reads and who writes it.

Rows and protocols only. ``tieline.storage`` implements what belongs to the store, ``tieline.dataplane`` what is asked
of upstreams for an operator, the composition root joins them; tests may pass any object with these methods. Nothing
here knows SQL or HTTP. Times of the control plane are aware and in UTC, those of the data plane seconds since the
epoch. Lists are ordered by id (oldest first) unless said otherwise; ``PageRequest.after`` is the id of the last item
already seen, ``Page.next`` the id to pass on or None. A store that cannot be reached raises ``NotReady``.
"""
