"""Tieline: a self-hosted API connector."""
