"""What a worker counts for ``/metrics``: from request records and from looks at itself, off the way of requests."""
