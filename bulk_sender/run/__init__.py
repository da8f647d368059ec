"""One run from input to results. The rooms, in the order in which a run comes by them:

facts        what it was started with, frozen in its journal
opened       its input, laid against its configuration
bodies       all requests of its plan, in order, as one digest
examination  its plan run through: what would be sent, what would not and why
saved_plan   a plan file: what was approved, and what differs from it
preview      what is about to be sent, for whoever has to agree
worklist     its batches that are still to be sent, in the order of their rows
delivery     from batches to a closed account: the only place that knows all parts
progress     a moment of it, for whoever watches
supervision  whoever started it: asked before it, told while it goes, stopping it
"""
