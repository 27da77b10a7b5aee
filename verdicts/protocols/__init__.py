"""What engines say to servers of other makers, and hear from them."""
