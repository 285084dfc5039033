"""How a secret is applied to a request: one module per scheme. Knows requests and secrets, not where they come from."""
