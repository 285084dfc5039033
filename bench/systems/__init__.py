"""The systems under test, each started, described and ended by its own module."""
