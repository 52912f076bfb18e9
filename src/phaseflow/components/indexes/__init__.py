"""Indexes outside the database."""

from phaseflow.components.indexes.protocol import INDEX_CALLS as INDEX_CALLS
from phaseflow.components.indexes.protocol import Candidate as Candidate
from phaseflow.components.indexes.protocol import CountingIndex as CountingIndex
from phaseflow.components.indexes.protocol import Index as Index
from phaseflow.components.indexes.protocol import IndexDocument as IndexDocument
from phaseflow.components.indexes.protocol import Query as Query
from phaseflow.components.indexes.protocol import Space as Space
