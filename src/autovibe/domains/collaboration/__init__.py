"""Collaboration: conversations between people, workers and the controller."""
