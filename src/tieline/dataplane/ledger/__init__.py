"""The ledger of a node: what requests may cost is reserved of budgets beforehand, what they cost is settled."""
