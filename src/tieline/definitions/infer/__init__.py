"""What an answer holds, inferred from answers: fields and types, merged, shaped, watched for drift.

Sans-IO: it reads documents that others fetched, and knows nothing of the network, the store or the caller.
"""
