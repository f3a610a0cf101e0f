"""Entry points of the Lambda functions: parse, call, answer. Decisions are made elsewhere."""
