"""A tenant's Exchange Online: the plan of what it should be like, as a script for it and as a guide for people."""
