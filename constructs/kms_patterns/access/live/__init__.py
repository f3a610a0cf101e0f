"""A live AWS account as stacks of templates, so that the reader, the evaluation and the reports are the same."""
