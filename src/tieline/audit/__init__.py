"""What the audit log says (``events``) and how it is made tamper-evident (``chain``). Knows no storage."""
