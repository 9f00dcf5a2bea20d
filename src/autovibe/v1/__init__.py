"""The contract: messages and service Protocols.

Generated from proto/ by tools/generate.py; do not edit.
"""
