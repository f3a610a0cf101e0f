"""The access proof: a cloud assembly read as an answer to "who can do what, under which condition".

Nothing here reads a construct, only synthesized output. The decisions come from an independent policy simulator.

``read``: Templates, assemblies and git revisions read into a model.
``evaluate``: From a model to an access matrix, and from two matrices to their difference.
``unknowns``: Unknown values: symbols in a model, and statements with them written so that the simulator decides
    each part.
``templates``: Templates in every form that CloudFormation takes, brought into the one form that the reader of
    access knows.
``live``: A live AWS account as stacks of templates, so that the reader, the evaluation and the reports are the
    same.
``escalation``: Who can become a user of a key, or change what one may do: a table of methods, and the paths that
    they make.
``questions``: Questions to an access matrix: a part of it, one decision explained, who can read content.
``report``: An access matrix, or a difference, as text, Markdown, HTML and JSON.
"""

from kms_patterns.access.access_matrix import AccessMatrix

__all__ = ["AccessMatrix"]
