"""HTTP in, HTTP out: ``/relay/``, ``/call/`` and what a key's holder asks about itself. Nothing else."""
