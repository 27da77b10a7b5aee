"""DECIDE: a judgement and a tenant's policy make a decision. Pure."""
