"""How good a model is: retrieval over programs, labelled pairs, and ports in a workspace, beside plain baselines.

Nothing here trains or changes a model. Every figure comes with a 95 % interval from resampling tasks, in views
that take names away, and with TF-IDF and BM25 measured on the same atoms in the same run.
"""
