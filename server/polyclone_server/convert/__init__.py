"""The only modules that know both vocabularies: the engine's values and the protocol's types.

Pure: a scene in, protocol values out. Every range is of the text that the client has.
"""
