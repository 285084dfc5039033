"""One attempt at an upstream: prepared, sent, judged, renewed and repeated, redirected, retried."""
