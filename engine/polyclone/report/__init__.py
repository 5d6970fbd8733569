"""Results → what people and programs read: one emitter a format. Prints nothing, opens no file, judges nothing.

An emitter takes values and returns a string. Where that string goes is the command line's business.
"""
