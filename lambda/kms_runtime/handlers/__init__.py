"""Entry points of the Lambda functions: parse, call, respond. Decisions are made elsewhere."""
