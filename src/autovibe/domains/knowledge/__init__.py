"""Knowledge: documents that people wrote, and the chunks that agents retrieve."""
