"""ASK and HAND OVER: transactions with the next hop, on pooled connections."""
