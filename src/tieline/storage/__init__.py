"""The store: one schema on SQLite and PostgreSQL, and one module for each port that it implements.

The only package that knows SQL. Who wires it imports the module it needs, so that a data-plane worker loads neither
Alembic nor the control plane's repositories.
"""
