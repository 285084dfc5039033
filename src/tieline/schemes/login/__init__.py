"""``login``: log in, then call. One or more requests whose answers hold a token or cookie; one module per concern."""
