"""Where the root key comes from: one module per kind of source, and ``source`` for the setting that chooses."""
