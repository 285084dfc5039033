"""The definition format ``tieline/v1``: an API as text, checked strictly, without secrets.

Knows nothing of the network, the vault or the store; auth schemes reach it as rules passed in.
"""
