"""The HTTP engine: requests in, requests out, framing, the egress guard. It knows nothing of APIs, keys or permissions."""
