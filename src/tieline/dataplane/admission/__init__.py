"""Who asks, and may they: the app key of a request becomes a value that says admitted, refused, or ask the store."""
