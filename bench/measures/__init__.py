"""What is measured: one module for each question, each of which gives one table."""
