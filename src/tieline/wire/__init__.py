"""The HTTP engine: requests in, requests out, framing, the egress guard. Knows nothing of APIs, keys or permissions."""
