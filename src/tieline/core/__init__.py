"""Values every other package is made of: errors, ids, secrets, time, names, pages. Standard library only."""
