"""Limits: how much a key, an app or an API may have at once and over time, counted once for all workers of a node."""
