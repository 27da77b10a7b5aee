"""What an operator may choose. Imports nothing of the relay."""
