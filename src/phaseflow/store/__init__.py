"""Every SQL statement, in one file with one writer.

``session`` opens the file, ``database`` writes, ``read_pool`` reads. The other modules are about a table or two. What
belongs to one knowledge base, job or model is an object over a transaction (``Catalogue(tx, kb_key)``); the rest are
functions of a transaction.
"""
