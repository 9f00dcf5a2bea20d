"""The composition root: the only place that knows every part, and joins them.

`embedded` is the control plane inside a command, `server` the one that others reach; a command
imports the one that it needs, because the skins of the server cost half a second to import.
"""
