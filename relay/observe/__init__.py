"""OBSERVE: metrics, health, logs."""
