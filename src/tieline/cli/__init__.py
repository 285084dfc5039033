"""The ``tieline`` command: a client of the admin API, and the starter of what runs on this machine."""
