"""Drivers: implementations of Protocols that domains own, one technology each."""
