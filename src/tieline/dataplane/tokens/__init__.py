"""Tokens of issuers: held in memory, renewed by one worker for all, got by sign-in."""
