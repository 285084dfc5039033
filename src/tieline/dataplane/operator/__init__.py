"""Talks to an upstream for an operator, from a process that serves no apps: verify and trial runs."""
