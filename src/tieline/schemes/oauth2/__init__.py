"""``oauth2``: tokens from an authorization server (RFC 6749 and its kin), one module per concern."""
