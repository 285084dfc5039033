"""What apps call: the snapshot it serves from, the relay, and the records it leaves. Never knows the control plane."""
