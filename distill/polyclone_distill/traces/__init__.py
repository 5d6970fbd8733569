"""A teacher's reasoning over pairs, asked of any OpenAI-compatible server and kept in an append-only store.

`client.py` is the only module of the project that opens a network connection.
"""
