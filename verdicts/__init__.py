"""What we know about a message. Imports nothing of the relay."""
