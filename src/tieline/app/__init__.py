"""The composition root: starts the processes, wires the packages to each other. It alone knows them all."""
