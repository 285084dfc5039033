"""The immutable compiled view that requests are served from, and how it follows the store."""
