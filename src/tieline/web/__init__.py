"""The console listener: the admin API over HTTP, its documentation and health. The one package that knows FastAPI.

Turns requests into calls of ``tieline.controlplane`` and errors into answers; decides nothing itself.
"""
