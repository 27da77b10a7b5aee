"""The links of a message, and where they lead."""
