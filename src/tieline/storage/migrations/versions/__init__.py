"""The steps of the schema, one module each, never changed once released."""
