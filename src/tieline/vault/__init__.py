"""Where credentials live encrypted: the root key wraps data keys, data keys seal secrets.

Sealing (``intake``) and opening (``reveal``) are two modules, so that who can see plaintext is a list of importers of
``tieline.vault.reveal``. The vault knows no database; ``ports`` says what it needs of one.
"""
