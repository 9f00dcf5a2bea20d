"""Commands that a remote user can give: they know the sdk and the kernel only."""
