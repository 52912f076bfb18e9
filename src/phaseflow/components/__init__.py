"""What does the work of a phase, and knows nothing of jobs: sources, readers of formats, chunker, embedders, search.

``protocols`` says what each has to offer, so that a program can bring its own. Bytes become text in ``extraction``,
which runs in ``workers`` where a document could break a parser; ``chunker`` and ``context`` cut it; ``index`` answers
searches, by words (``word_ranking``), vectors (``resident``, ``nearness``) and both (``fusion``).
"""
